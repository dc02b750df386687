package shellenv_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"bootstrap/internal/shellenv"
	"bootstrap/internal/shellrc"
)

// The program is run by /bin/sh, whatever that is.
func TestProgramUnderEverySh(t *testing.T) {
	l := install(t, "a~b+c@d._-ü日")
	for _, args := range [][]string{{"activate", "sh"}, {"activate", "fish"}, {"activate", "csh"}, {"deactivate", "sh"}} {
		outputs := map[string]string{}
		for name, argv := range map[string][]string{
			"dash": {"dash"}, "bash": {"bash", "--posix"}, "busybox": {"busybox", "sh"}, "zsh": {"zsh", "--emulate", "sh"},
		} {
			path, err := exec.LookPath(argv[0])
			if err != nil {
				continue
			}
			cmd := exec.Command(path, append(append(argv[1:], shellenv.Program(l)), args...)...)
			cmd.Env = []string{"PATH=/usr/bin:/bin", "NIX_STORE=it's", `XDG_DATA_DIRS='!"$x`, "MANPATH=:"}
			if args[0] == "deactivate" {
				cmd.Env = append(cmd.Env, "BOOTSTRAP_PREFIX=/x", "NIX_STATE_HOME=/x/per-user/y", "BOOTSTRAP_SAVED_NIX_PATH=a b")
			}
			out, err := cmd.CombinedOutput()
			if err != nil || len(out) == 0 {
				t.Fatalf("%s: %v\n%s", name, err, out)
			}
			outputs[string(out)] += " " + name
		}
		if len(outputs) != 1 {
			t.Errorf("%q: differs: %q", args, outputs)
		}
	}
}

// A shell under set -e ends where the program fails, instead of going on with half an environment.
func TestAProgramThatFails(t *testing.T) {
	l := install(t, "plain")
	write(t, shellenv.Program(l), "echo export BROKEN=yes; exit 1\n")
	for _, name := range []string{"dash", "bash", "zsh"} {
		t.Run(name, func(t *testing.T) {
			path, err := exec.LookPath(name)
			if err != nil {
				t.Skipf("%s is not on this machine", name)
			}
			out, err := exec.Command(path, "-c", "set -e; . "+shellrc.QuotePOSIX(l.EnvFile("sh"))+"; echo went on").CombinedOutput()
			if err == nil || len(out) > 0 {
				t.Errorf("got %v, %q", err, out)
			}
		})
	}
}

func TestProgramRefuses(t *testing.T) {
	l := install(t, "plain")
	for _, args := range [][]string{{}, {"activate"}, {"activate", "ksh"}, {"x", "sh"}} {
		cmd := exec.Command("/bin/sh", append([]string{shellenv.Program(l)}, args...)...)
		var out, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &stderr
		if err := cmd.Run(); err == nil || out.Len() > 0 || !strings.HasPrefix(stderr.String(), "bootstrap: unknown ") {
			t.Errorf("%q: got %v, %q, %q", args, err, out.String(), stderr.String())
		}
	}
}

func TestFilesRefusesPathsItCannotWrite(t *testing.T) {
	for _, dir := range []string{"", "relative", "/a\nrm -rf x", "/a\xff"} {
		if files, err := shellenv.Files(layout(dir)); err == nil {
			t.Errorf("%q: got %d files and no error", dir, len(files))
		}
	}
}

func TestShellcheck(t *testing.T) {
	path, err := exec.LookPath("shellcheck")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("shellcheck is not on this machine")
	}
	l := install(t, "plain")
	// SC2154: variables that eval assigns. SC2034: those that eval reads.
	cmd := exec.Command(path, "-s", "sh", "-e", "SC2154,SC2034", l.EnvFile("sh"), shellenv.Program(l))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
