package shellenv_test

import (
	"bytes"
	"context"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bootstrap/internal/prefix"
	"bootstrap/internal/shellenv"
	"bootstrap/internal/shellrc"
)

// shell is a real shell, and how a script says things to it.
type shell struct {
	name   string
	argv   []string
	start  string // the first line of every script
	source string
	file   string // as prefix.Layout.EnvFile has it
	quote  func(string) string
	export string // followed by a name, a blank and a quoted value, if not POSIX
}

func shells() []shell {
	posix := func(name string, argv ...string) shell {
		return shell{name: name, argv: argv, start: "set -eu", source: ". ", file: "sh", quote: shellrc.QuotePOSIX}
	}
	csh := func(name string) shell {
		return shell{name, []string{name, "-f"}, "", "source ", "csh", shellrc.QuoteCsh, "setenv "}
	}
	strict := posix("zsh warn_create_global", "zsh", "-f", "-o", "WARN_CREATE_GLOBAL", "-o", "RC_QUOTES", "-o", "KSH_ARRAYS")
	return []shell{
		posix("dash", "dash"),
		posix("bash", "bash"),
		posix("bash posix", "bash", "--posix"),
		posix("zsh", "zsh", "-f"),
		strict,
		posix("busybox", "busybox", "sh"),
		{"fish", []string{"fish", "--no-config"}, "", "source ", "fish", shellrc.QuoteFish, "set -gx "},
		csh("tcsh"),
		csh("csh"),
	}
}

func (s shell) assign(name, value string) string {
	if s.export != "" {
		return s.export + name + " " + s.quote(value)
	}
	return "export " + name + "=" + s.quote(value)
}

// env is an environment as a child sees it.
type env map[string]string

// run runs the lines in s under exactly the environment given, and returns the environments that
// the lines "dump <name>" saw. Anything on stderr is an error.
func (s shell) run(t *testing.T, before env, lines ...string) map[string]env {
	t.Helper()
	if _, err := exec.LookPath(s.argv[0]); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s: %v", s.name, err)
		}
		t.Skipf("%s is not on this machine", s.argv[0])
	}
	dir := t.TempDir()
	var script strings.Builder
	script.WriteString(s.start + "\n")
	for _, line := range lines {
		if name, ok := strings.CutPrefix(line, "dump "); ok {
			line = "/usr/bin/env -0 >" + s.quote(filepath.Join(dir, name+".env"))
		}
		script.WriteString(line + "\n")
	}
	file := filepath.Join(dir, "script")
	write(t, file, script.String())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	path, _ := exec.LookPath(s.argv[0])
	cmd := exec.CommandContext(ctx, path, append(slices.Clone(s.argv[1:]), file)...)
	cmd.Dir = dir
	cmd.Env = []string{}
	for name, value := range before {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("%v\n%s\nscript:\n%s", err, stderr.String(), script.String())
	}
	dumps, err := filepath.Glob(filepath.Join(dir, "*.env"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]env{}
	for _, dump := range dumps {
		out[strings.TrimSuffix(filepath.Base(dump), ".env")] = read(t, dump)
	}
	return out
}

func read(t *testing.T, dump string) env {
	t.Helper()
	data, err := os.ReadFile(dump)
	if err != nil {
		t.Fatal(err)
	}
	out := env{}
	for entry := range strings.SplitSeq(strings.TrimSuffix(string(data), "\x00"), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		out[name] = value
	}
	delete(out, "_") // the last command, by the shells' own doing
	return out
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// layout returns a layout below dir, without asking whether a store could be there.
func layout(dir string) prefix.Layout {
	share := filepath.Join(dir, "share", "bootstrap")
	return prefix.Layout{
		Root:     dir,
		Store:    filepath.Join(dir, "store"),
		State:    filepath.Join(dir, "var", "nix"),
		Log:      filepath.Join(dir, "var", "log", "nix"),
		Conf:     filepath.Join(dir, "etc", "nix"),
		Share:    share,
		Packages: filepath.Join(share, "packages"),
		ProfileD: filepath.Join(dir, "etc", "profile.d"),
	}
}

// install writes the files of a prefix into a new directory with the given last element.
func install(t *testing.T, name string) prefix.Layout {
	t.Helper()
	l := layout(filepath.Join(t.TempDir(), name))
	files, err := shellenv.Files(l)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		write(t, f.Path, string(f.Content))
	}
	write(t, l.Certificates(), "certificates\n")
	return l
}

func (s shell) sourcing(l prefix.Layout) string { return s.source + s.quote(l.EnvFile(s.file)) }

func me(t *testing.T) string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

// want returns what before becomes with l in it, given the three lists as they should be.
func want(t *testing.T, l prefix.Layout, before env, path, data, man string) env {
	t.Helper()
	name := me(t)
	out := maps.Clone(before)
	for _, key := range append(unwanted(), "NIX_PROFILES", "PATH", "XDG_DATA_DIRS", "MANPATH",
		"NIX_CACHE_HOME", "NIX_CONFIG_HOME", "NIX_DATA_HOME", "NIX_STATE_HOME", "NIX_USER_CONF_FILES") {
		if value, ok := out[key]; ok {
			out["BOOTSTRAP_SAVED_"+key] = value
			delete(out, key)
		}
	}
	maps.Copy(out, env{
		"BOOTSTRAP_PREFIX":    l.Root,
		"NIX_CACHE_HOME":      l.UserCache(name),
		"NIX_CONFIG_HOME":     l.UserConf(name),
		"NIX_DATA_HOME":       l.UserData(name),
		"NIX_STATE_HOME":      l.UserProfiles(name),
		"NIX_USER_CONF_FILES": l.UserConf(name) + "/nix.conf",
		"NIX_PROFILES":        l.DefaultProfile() + " " + l.UserProfiles(name) + "/profile",
		"NIX_SSL_CERT_FILE":   l.Certificates(),
		"PATH":                fill(t, l, path),
		"XDG_DATA_DIRS":       fill(t, l, data),
	})
	if man != "" {
		out["MANPATH"] = fill(t, l, man)
	}
	return out
}

// fill replaces <user> and <all> by the two profiles.
func fill(t *testing.T, l prefix.Layout, list string) string {
	t.Helper()
	return strings.NewReplacer("<user>", l.UserProfiles(me(t))+"/profile", "<all>", l.DefaultProfile()).Replace(list)
}

func unwanted() []string {
	return strings.Fields(`NIX_STORE NIX_STORE_DIR NIX_STATE_DIR NIX_LOG_DIR NIX_CONF_DIR NIX_REMOTE
		NIX_DAEMON_SOCKET_PATH NIX_BIN_DIR NIX_PATH NIX_CONFIG NIX_PROFILE NIX_BUILD_SHELL NIX_REMOTE_SYSTEMS`)
}

// bare is the least a shell is started with.
func bare(t *testing.T) env {
	t.Helper()
	return env{"HOME": t.TempDir(), "PATH": "/usr/bin:/bin"}
}
