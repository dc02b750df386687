package enter_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/enter"
	"bootstrap/internal/prefix"
	"bootstrap/internal/shellenv"
	"bootstrap/internal/shellrc"
)

// installed returns a prefix that has its env files, in a directory with every kind of character
// that the path of a prefix may have.
func installed(t *testing.T) prefix.Layout {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a+b@c~d_e-f.g")
	share := filepath.Join(dir, "share")
	l := prefix.Layout{
		Root: dir, Store: filepath.Join(dir, "store"), State: filepath.Join(dir, "var/nix"),
		Log: filepath.Join(dir, "var/log"), Conf: filepath.Join(dir, "etc/nix"), Share: share,
		ProfileD: filepath.Join(dir, "etc/profile.d"),
	}
	files, err := shellenv.Files(l)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		write(t, f.Path, string(f.Content), f.Mode)
	}
	write(t, filepath.Join(l.DefaultProfile(), "bin/nix"), "#!/bin/sh\necho \"nix of $BOOTSTRAP_PREFIX\" \"$@\"\n", 0o755)
	return l
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// start runs a process as package main does, with lines typed to it, and returns what it printed.
func start(t *testing.T, p enter.Process, typed ...string) (string, error) {
	t.Helper()
	cmd := &exec.Cmd{Path: p.Path, Args: p.Args, Env: p.Env, Dir: t.TempDir(), Stdin: strings.NewReader(strings.Join(append(typed, ""), "\n"))}
	if p.Script != "" {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := w.WriteString(p.Script); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		for len(cmd.ExtraFiles) < enter.ScriptFD-3 {
			cmd.ExtraFiles = append(cmd.ExtraFiles, nil)
		}
		cmd.ExtraFiles = append(cmd.ExtraFiles, r)
	}
	out, err := cmd.Output()
	return string(out), err
}

func TestRun(t *testing.T) {
	l := installed(t)
	got, err := start(t, enter.Run(l, []string{"PATH=/usr/bin:/bin", "NIX_STORE=/other"}, []string{"nix", "a b", "$HOME", "'", "-x"}))
	if want := "nix of " + l.Root + " a b $HOME ' -x\n"; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	got, err = start(t, enter.Run(l, []string{"PATH=/usr/bin:/bin", "NIX_STORE=/other"}, []string{"sh", "-c", "echo ${NIX_STORE-none}; exit 7"}))
	if exit := (&exec.ExitError{}); got != "none\n" || !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("got %q, %v", got, err)
	}
	for name, want := range map[string]int{"there-is-no-such-program": 127, "/etc/passwd": 126} {
		_, err := start(t, enter.Run(l, []string{"PATH=/usr/bin:/bin"}, []string{name}))
		if exit := (&exec.ExitError{}); !errors.As(err, &exit) || exit.ExitCode() != want {
			t.Errorf("%s: %v, want exit code %d", name, err, want)
		}
	}
}

func TestPure(t *testing.T) {
	got := enter.Pure([]string{"HOME=/h", "PATH=/evil", "NIX_STORE=/x", "LANG=C", "HOMEX=1", "BOOTSTRAP_PREFIX=/b"})
	if diff := cmp.Diff([]string{"HOME=/h", "LANG=C", "PATH=/usr/local/bin:/usr/bin:/bin"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Start-up files that put something in front come before the prefix, and the user's own are read.
func TestShell(t *testing.T) {
	for _, tt := range []struct {
		name, rc, script string
		after            bool // the prefix is put in front once more
	}{
		{"bash", ".bashrc", "PATH=/evil:$PATH; MINE=yes; export MINE", true},
		{"zsh", ".zshrc", "PATH=/evil:$PATH; export MINE=yes", true},
		{"fish", ".config/fish/config.fish", "set -gx PATH /evil $PATH; set -gx MINE yes", true},
		{"tcsh", ".tcshrc", "setenv MINE yes", false},
		{"dash", "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			program, err := exec.LookPath(tt.name)
			if err != nil {
				if os.Getenv("CI") != "" {
					t.Fatal(err)
				}
				t.Skipf("%s is not on this machine", tt.name)
			}
			l, home := installed(t), t.TempDir()
			if tt.rc != "" {
				write(t, filepath.Join(home, tt.rc), tt.script+"\n", 0o644)
			}
			tmp := t.TempDir()
			env := []string{"HOME=" + home, "PATH=/usr/bin:/bin", "TERM=dumb", "TMPDIR=" + tmp, "NIX_REMOTE=daemon"}
			for _, prompt := range []bool{true, false} {
				p := enter.Shell{Program: program, Prompt: prompt}.Start(l, env)
				got, err := start(t, p, `/usr/bin/env | grep -E '^(PATH|MINE|NIX_REMOTE|ZDOTDIR|BOOTSTRAP_ZDOTDIR)='`, "nix", "exit")
				if err != nil {
					t.Fatalf("%v\n%s", err, got)
				}
				front := "PATH=" + l.State
				if !strings.Contains(got, front) {
					t.Errorf("the prefix is not in front:\n%s", got)
				}
				for _, absent := range []string{"NIX_REMOTE=", "ZDOTDIR="} {
					if strings.Contains(got, absent) {
						t.Errorf("%s is there:\n%s", absent, got)
					}
				}
				if tt.rc != "" && !strings.Contains(got, "MINE=yes") {
					t.Errorf("%s was not read:\n%s", tt.rc, got)
				}
				if tt.after && !strings.Contains(got, ":/evil:") {
					t.Errorf("%s did not come first:\n%s", tt.rc, got)
				}
				if !strings.Contains(got, "nix of "+l.Root) {
					t.Errorf("nix is not the prefix's:\n%s", got)
				}
			}
			if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// What env prints works in the shell it is for, and can be undone in a shell below.
func TestSourceAndLeave(t *testing.T) {
	for _, tt := range []struct {
		name string
		kind shellrc.Shell
		args []string
	}{
		{"dash", shellrc.Sh, nil},
		{"bash", shellrc.Bash, []string{"--norc"}},
		{"zsh", shellrc.Zsh, []string{"-f"}},
		{"fish", shellrc.Fish, []string{"--no-config"}},
		{"tcsh", shellrc.Csh, []string{"-f"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			program, err := exec.LookPath(tt.name)
			if err != nil {
				if os.Getenv("CI") != "" {
					t.Fatal(err)
				}
				t.Skipf("%s is not on this machine", tt.name)
			}
			l := installed(t)
			script := strings.Join([]string{enter.Source(l, tt.kind), "nix in", enter.Leave(l, tt.kind), "/usr/bin/env"}, "\n") + "\n"
			file := filepath.Join(t.TempDir(), "script")
			write(t, file, script, 0o644)
			cmd := exec.Command(program, append(tt.args, file)...)
			cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=/usr/bin:/bin", "NIX_REMOTE=daemon"}
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.HasPrefix(string(out), "nix of "+l.Root+" in\n") {
				t.Errorf("%v\n%s", err, out)
			}
			for _, want := range []string{"PATH=/usr/bin:/bin\n", "NIX_REMOTE=daemon\n"} {
				if !strings.Contains(string(out), want) {
					t.Errorf("%q is not back:\n%s", want, out)
				}
			}
			if strings.Contains(string(out), "BOOTSTRAP_") {
				t.Errorf("something stays behind:\n%s", out)
			}
		})
	}
}
