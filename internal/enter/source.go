package enter

import (
	"bootstrap/internal/prefix"
	"bootstrap/internal/shellenv"
	"bootstrap/internal/shellrc"
)

// Source returns the command by which a shell enters the prefix, as its user would type it.
func Source(l prefix.Layout, shell shellrc.Shell) string {
	switch shell {
	case shellrc.Fish:
		return "source " + shellrc.QuoteFish(l.EnvFile("fish"))
	case shellrc.Csh:
		return "source " + shellrc.QuoteCsh(l.EnvFile("csh"))
	}
	return ". " + shellrc.QuotePOSIX(l.EnvFile("sh"))
}

// Leave returns the command by which a shell leaves the prefix, whether or not it was this shell
// that entered it.
func Leave(l prefix.Layout, shell shellrc.Shell) string {
	program := shellenv.Program(l)
	switch shell {
	case shellrc.Fish:
		return "/bin/sh " + shellrc.QuoteFish(program) + " deactivate fish | source"
	case shellrc.Csh:
		return "eval \"`/bin/sh " + shellrc.QuoteCsh(program) + " deactivate csh`\""
	}
	return `eval "$(/bin/sh ` + shellrc.QuotePOSIX(program) + ` deactivate sh || echo false)"`
}
