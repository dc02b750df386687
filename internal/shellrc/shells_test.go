package shellrc_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bootstrap/internal/shellrc"
)

// nasty are words a shell may take apart.
var nasty = []string{
	"plain", "a b", "it's", `"q"`, "$HOME", "`id`", "$(id)", "a!b", "!!", "a'!'b", `back\slash`, `\`, `\'`,
	"*?[x]", "{a,b}", "~root", "a;b&c|d", "#c", "ü→日本", "=ls", "-n", "''", "'", "", "%h", "a^b", "<in>",
}

func lookShell(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not on this machine", name)
	}
	return path
}

func TestQuotingInRealShells(t *testing.T) {
	shells := map[string]func(string) string{
		"dash": shellrc.QuotePOSIX, "bash": shellrc.QuotePOSIX, "zsh": shellrc.QuotePOSIX,
		"fish": shellrc.QuoteFish, "tcsh": shellrc.QuoteCsh, "csh": shellrc.QuoteCsh,
	}
	for name, quote := range shells {
		t.Run(name, func(t *testing.T) {
			shell := lookShell(t, name)
			home := t.TempDir()
			var words, want []string
			for _, s := range nasty {
				words = append(words, quote(s))
				want = append(want, "<"+s+">")
			}
			script := filepath.Join(home, "script")
			write(t, script, "/usr/bin/printf '<%s>\\n' "+strings.Join(words, " ")+"\n", 0o644)
			cmd := exec.Command(shell, script)
			cmd.Env = []string{"HOME=" + home, "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if got := strings.TrimSuffix(string(out), "\n"); got != strings.Join(want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
			}
		})
	}
}

// TestBlocksWorkInRealShells starts each shell the way a person does and
// looks whether the env file of the prefix was read.
func TestBlocksWorkInRealShells(t *testing.T) {
	tests := map[string]struct {
		shell string
		args  []string
	}{
		"dash login":       {"dash", []string{"-l", "-c"}},
		"bash login":       {"bash", []string{"-l", "-c"}},
		"bash interactive": {"bash", []string{"-i", "-c"}},
		"zsh":              {"zsh", []string{"-c"}},
		"zsh with options": {"zsh", []string{"-o", "RC_QUOTES", "-c"}},
		"fish":             {"fish", []string{"-c"}},
		"tcsh":             {"tcsh", []string{"-c"}},
		"csh":              {"csh", []string{"-c"}},
	}
	for name, tt := range tests {
		for _, dir := range []string{"plain", `it's $HOME wow!x ü→ q"uo semi;colon back\slash`} {
			t.Run(name+" "+dir, func(t *testing.T) {
				shell := lookShell(t, tt.shell)
				home, root := t.TempDir(), filepath.Join(t.TempDir(), dir)
				o := options(home, root)
				write(t, o.EnvSh, "GOT=yes; export GOT\n", 0o644)
				write(t, o.EnvFish, "set -gx GOT yes\n", 0o644)
				write(t, o.EnvCsh, "setenv GOT yes\n", 0o644)
				add(t, o)
				if got := ask(t, home, shell, tt.args...); got != "yes" {
					t.Errorf("got %q", got)
				}
				// A prefix that is gone must not make a login noisy.
				o.Root, o.EnvSh, o.EnvFish, o.EnvCsh = root+"-gone", root+"-gone", root+"-gone", root+"-gone"
				add(t, o)
				if got := ask(t, home, shell, tt.args...); got != "yes" {
					t.Errorf("with a prefix that is gone: got %q", got)
				}
			})
		}
	}
}

// ask starts shell in home and returns everything it prints, asked for $GOT.
func ask(t *testing.T, home, shell string, args ...string) string {
	t.Helper()
	cmd := exec.Command(shell, append(args, `/usr/bin/printenv GOT`)...)
	cmd.Dir = home
	cmd.Env = []string{"HOME=" + home, "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TERM=dumb"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// bash says so on its standard error when it is interactive without a terminal.
	var lines []string
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		if !strings.HasPrefix(line, "bash: cannot set terminal process group") &&
			!strings.HasPrefix(line, "bash: no job control") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
