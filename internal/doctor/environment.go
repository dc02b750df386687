package doctor

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"bootstrap/internal/prefix"
	"bootstrap/internal/run"
)

// leaky are the variables that change what a compiler, a linker or an interpreter does.
var leaky = []string{
	"LD_LIBRARY_PATH", "LD_PRELOAD", "LD_AUDIT", "LIBRARY_PATH", "LD_RUN_PATH",
	"CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "GCC_EXEC_PREFIX", "COMPILER_PATH",
	"PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR", "PKG_CONFIG_SYSROOT_DIR",
	"PYTHONPATH", "PYTHONHOME", "PERL5LIB", "BASH_ENV", "ENV",
}

const whyVariables = "they reach every program started from the shell, those of the prefix too; " +
	"a library of the host's in place of their own ends them. bootstrap's own builds do not see them"

func (o Options) variables() Check {
	c := ok("variables", whyVariables, "none that changes what programs load")
	if set := setOf(leaky, o.env); len(set) > 0 {
		c.Found = "set: " + strings.Join(set, ", ")
		return c.but(Warning, "unset "+strings.Join(set, " ")+" where you use Nix; look for them in modules and start-up files")
	}
	return c
}

func setOf(names []string, env func(string) string) []string {
	var set []string
	for _, name := range names {
		if env(name) != "" {
			set = append(set, name)
		}
	}
	return set
}

// Login starts the user's shell as a login does, with nothing else in its environment, and says
// which of the variables its start-up files export.
func Login(ctx context.Context, o Options) Check {
	c := ok("login shell", whyVariables, "its start-up files export none that changes what programs load")
	shell := o.shell()
	if shell == "" {
		c.Found = "not tried: there is none that -l and -c can be given to"
		return c
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	env := run.Env{"PATH": "/usr/local/bin:/usr/bin:/bin", "TERM": "dumb", "SHELL": shell}
	for _, name := range []string{"HOME", "USER", "LOGNAME"} {
		if v := o.env(name); v != "" {
			env[name] = v
		}
	}
	out, err := (&run.Cmd{Path: shell, Args: []string{"-l", "-c", "env"}, Env: env}).Output(limited)
	if err != nil {
		c.Found = filepath.Base(shell) + ": " + cause(err)
		if errors.Is(limited.Err(), context.DeadlineExceeded) {
			c.Found = filepath.Base(shell) + " was not done with its start-up files in " + patience.String()
		}
		return c.but(Warning, "see what "+shell+" -l does with nobody to answer it")
	}
	exported := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		exported[name] = value
	}
	set := setOf(leaky, func(name string) string { return exported[name] })
	if len(set) == 0 {
		return c
	}
	c.Found = filepath.Base(shell) + " exports " + strings.Join(set, ", ")
	return c.but(Warning, "take them out of the start-up files, or unset "+strings.Join(set, " ")+" where you use Nix")
}

// shell returns the user's shell, if it takes a command besides -l, as those of csh's kind do not.
func (o Options) shell() string {
	shell := o.env("SHELL")
	if !filepath.IsAbs(shell) || strings.HasSuffix(shell, "csh") {
		return ""
	}
	return shell
}

// steering are the variables by which one Nix works on the store of another.
var steering = []string{
	"NIX_STORE", "NIX_STORE_DIR", "NIX_STATE_DIR", "NIX_LOG_DIR", "NIX_CONF_DIR", "NIX_REMOTE",
	"NIX_DAEMON_SOCKET_PATH", "NIX_BIN_DIR", "NIX_CONFIG", "NIX_USER_CONF_FILES", "NIX_PATH",
	"NIX_CACHE_HOME", "NIX_CONFIG_HOME", "NIX_DATA_HOME", "NIX_STATE_HOME", "NIX_PROFILES",
}

// otherNix says which other Nix is here. It stays as it is.
func (o Options) otherNix() Check {
	c := ok("another Nix", "two that share a cache, a profile or a variable damage each other's store", "none")
	var found []string
	has := func(path, what string) {
		if o.Root == nil || strings.HasPrefix(o.Layout.Store, prefix.DefaultStore) {
			return
		}
		if _, err := fs.Lstat(o.Root, strings.TrimPrefix(filepath.Clean(path), "/")); err == nil {
			found = append(found, what)
		}
	}
	has("/nix/store", "/nix/store")
	has("/nix/var/nix/daemon-socket/socket", "a daemon's socket")
	if home := o.env("HOME"); filepath.IsAbs(home) {
		has(filepath.Join(home, ".nix-profile"), "~/.nix-profile")
		has(filepath.Join(home, ".nix-defexpr"), "~/.nix-defexpr")
	}
	if len(found) > 0 {
		c.Found = strings.Join(found, ", ") + "; left as they are"
	}
	if set := o.foreign(); len(set) > 0 {
		if len(found) == 0 {
			c.Found = "none found"
		}
		c.Found += "; set: " + strings.Join(set, ", ")
		return c.but(Warning, "leave the other's nix-shell or env file before you use this one, or unset "+strings.Join(set, " "))
	}
	return c
}

// foreign returns the variables that steer a Nix and do not speak of this prefix.
func (o Options) foreign() []string {
	return setOf(steering, func(name string) string {
		value := o.env(name)
		for _, own := range []string{o.Layout.Store, o.Layout.State, o.Layout.Conf, o.Layout.Log, o.Layout.Share} {
			if own != "" && (value == own || strings.Contains(value, own+"/")) {
				return ""
			}
		}
		return value
	})
}
