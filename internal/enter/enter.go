// Package enter says how a program or a shell is started with a prefix in its environment.
//
// What the prefix is to an environment is decided by its env files alone; here they are sourced,
// so that there is one truth. The package starts nothing and writes nothing.
package enter

import (
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/prefix"
	"bootstrap/internal/shellrc"
)

// Process is a program to be started in place of this one.
type Process struct {
	Path string   // absolute
	Args []string // with the program's own name
	Env  []string
	// Script is what file descriptor [ScriptFD] has to offer; none if empty.
	Script string
}

// ScriptFD is the file descriptor of [Process.Script].
const ScriptFD = 9

// posixShell sources the env file and starts what it is given in its place. Every Linux has one.
const posixShell = "/bin/sh"

// sourced is the same script for all: what differs comes as arguments.
const sourced = `. "$1" && shift && exec "$@"`

// Run returns the process that runs a program with the prefix in its environment. The program is
// looked up in the PATH that the environment has then.
func Run(l prefix.Layout, env, argv []string) Process {
	args := []string{"sh", "-c", sourced, "sh", l.EnvFile("sh")}
	return Process{Path: posixShell, Args: append(args, argv...), Env: env}
}

// Pure returns what of an environment does not come from anybody's set-up, and a PATH of the
// system's programs.
func Pure(env []string) []string {
	kept := []string{"HOME", "USER", "LOGNAME", "TERM", "LANG", "SHELL"}
	out := slices.DeleteFunc(slices.Clone(env), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return !slices.Contains(kept, name)
	})
	return append(out, "PATH=/usr/local/bin:/usr/bin:/bin")
}

// Shell says how an interactive shell is started.
type Shell struct {
	Program string // absolute path
	Prompt  bool   // show the name of the prefix in the prompt
}

// Start returns the process of the shell. The env file is sourced before it and, where the shell
// can be told to, once more after its own start-up files: they may have put another Nix in front.
func (s Shell) Start(l prefix.Layout, env []string) Process {
	argv, script := s.arguments(l)
	p := Run(l, env, argv)
	p.Script = script
	return p
}

func (s Shell) arguments(l prefix.Layout) (argv []string, script string) {
	argv = []string{s.Program}
	switch filepath.Base(s.Program) {
	case "bash":
		return append(argv, "--rcfile", descriptor, "-i"), s.bash(l)
	case "zsh":
		return []string{posixShell, "-c", zshStart, "sh", s.Program, descriptor}, s.zsh(l)
	case "fish":
		return append(argv, "--interactive", "--init-command", s.fish(l)), ""
	case "tcsh", "csh":
		return append(argv, "-i"), "" // it reads its start-up files and nothing else
	}
	return append(argv, "-i"), ""
}

const descriptor = "/dev/fd/9"

// The prompt goes with the prefix: bootstrap_deactivate takes it away, too.
func (s Shell) bash(l prefix.Layout) string {
	lines := []string{
		"exec 9<&-",
		"[ ! -r /etc/bash.bashrc ] || . /etc/bash.bashrc",
		"[ ! -r ~/.bashrc ] || . ~/.bashrc",
		". " + shellrc.QuotePOSIX(l.EnvFile("bash")),
	}
	if s.Prompt {
		lines = append(lines, `PS1='${BOOTSTRAP_PREFIX:+(${BOOTSTRAP_PREFIX##*/}) }'"$PS1"`)
	}
	return strings.Join(lines, "\n") + "\n"
}

// zshStart gives zsh a directory for its start-up files, since it takes no other file on the
// command line. The last of them removes the directory.
const zshStart = `dir=$(mktemp -d) && cat "$2" >"$dir/.zshrc" && exec 9<&- &&
printf '%s\n' '[ ! -r "${BOOTSTRAP_ZDOTDIR:-$HOME}/.zshenv" ] || . "${BOOTSTRAP_ZDOTDIR:-$HOME}/.zshenv"' >"$dir/.zshenv" &&
BOOTSTRAP_ZDOTDIR=${ZDOTDIR-} ZDOTDIR=$dir && export BOOTSTRAP_ZDOTDIR ZDOTDIR && exec "$1" -i`

func (s Shell) zsh(l prefix.Layout) string {
	lines := []string{
		`rm -rf -- "$ZDOTDIR"`,
		`if [ -n "$BOOTSTRAP_ZDOTDIR" ]; then ZDOTDIR=$BOOTSTRAP_ZDOTDIR; else unset ZDOTDIR; fi`,
		"unset BOOTSTRAP_ZDOTDIR",
		`[ ! -r "${ZDOTDIR:-$HOME}/.zshrc" ] || . "${ZDOTDIR:-$HOME}/.zshrc"`,
		". " + shellrc.QuotePOSIX(l.EnvFile("zsh")),
	}
	if s.Prompt {
		lines = append(lines, `PROMPT="(${BOOTSTRAP_PREFIX##*/}) $PROMPT"`)
	}
	return strings.Join(lines, "\n") + "\n"
}

func (s Shell) fish(l prefix.Layout) string {
	lines := []string{"source " + shellrc.QuoteFish(l.EnvFile("fish"))}
	if s.Prompt {
		lines = append(lines,
			"functions --copy fish_prompt bootstrap_prompt",
			`function fish_prompt; set -q BOOTSTRAP_PREFIX; and printf '(%s) ' (string replace -r '.*/' '' -- $BOOTSTRAP_PREFIX); bootstrap_prompt; end`)
	}
	return strings.Join(lines, "; ")
}
