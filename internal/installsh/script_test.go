package installsh_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestCutOff runs every beginning of the script on a host where each program records that it ran.
func TestCutOff(t *testing.T) {
	dash := look(t, "dash")
	text := script(t)
	newRecorder := func(t *testing.T) (*host, string) {
		h := &host{home: t.TempDir(), bin: t.TempDir()}
		record := filepath.Join(h.home, "record")
		for _, name := range append([]string{"curl", "wget", "sha256sum", "go", "m", "ma", "mai", "e", "ex", "exi"}, basic...) {
			h.fake(t, name, `echo "$0" >>`+record)
		}
		h.env = []string{"BOOTSTRAP_RELEASES=http://127.0.0.1:1"}
		return h, record
	}

	whole, record := newRecorder(t)
	whole.piped(t, []string{dash}, text, "--prefix", "/x", "--yes")
	if _, err := os.Stat(record); err != nil {
		t.Fatalf("the whole script recorded nothing, so this test would prove nothing: %v", err)
	}

	step := 1
	if testing.Short() {
		step = 17
	}
	offsets := make(chan int)
	var workers sync.WaitGroup
	for range 4 {
		h, record := newRecorder(t)
		workers.Go(func() {
			in := filepath.Join(h.home, "in")
			for n := range offsets {
				// Files, not pipes: this happens once per byte.
				if err := os.WriteFile(in, []byte(text[:n]), 0o644); err != nil {
					t.Error(err)
				}
				err := runFiles(dash, h, in, record)
				if info, statErr := os.Stat(record); statErr != nil || info.Size() > 0 {
					t.Errorf("cut off after %d bytes, at %q: something ran", n, text[max(0, n-30):n])
				}
				if inside := n > strings.Index(text, "\n{")+1; inside && err == nil {
					t.Errorf("cut off after %d bytes: exit code 0", n)
				}
			}
		})
	}
	end := strings.LastIndex(text, "}")
	for n := 0; n <= end; n += step {
		offsets <- n
	}
	close(offsets)
	workers.Wait()
}

// runFiles runs the script in the file in, and adds its output to the file out.
func runFiles(shell string, h *host, in, out string) error {
	stdin, err := os.Open(in)
	if err != nil {
		return err
	}
	defer stdin.Close()
	stdout, err := os.OpenFile(out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer stdout.Close()
	cmd := exec.Command(shell, "-s", "--", "--prefix", "/x", "--yes")
	cmd.Env = append([]string{"HOME=" + h.home, "PATH=" + h.bin}, h.env...)
	cmd.Stdin, cmd.Stdout = stdin, stdout
	return cmd.Run()
}

func TestHelpNeedsNothing(t *testing.T) {
	eachShell(t, func(t *testing.T, shell []string) {
		h := &host{home: t.TempDir(), bin: t.TempDir()}
		if err := os.Symlink(look(t, "cat"), filepath.Join(h.bin, "cat")); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"--help"}, {"-h"}, {"--prefix", "/x", "--help"}} {
			r := h.piped(t, shell, script(t), args...)
			r.expect(t, 0)
			if !strings.HasPrefix(r.stdout, "Usage: install.sh") || r.stderr != "" {
				t.Errorf("%q: got %q, %q", args, r.stdout, r.stderr)
			}
		}
		h.piped(t, shell, script(t)).expect(t, 2, "no prefix is given", "hint: name the store directory")
	})
}

func TestShellcheck(t *testing.T) {
	if out, err := exec.Command(look(t, "shellcheck"), "-s", "sh", scriptPath).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// checkout makes a directory that looks like one, and returns its install.sh.
func checkout(t *testing.T, text string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "scripts"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"go.mod": "module bootstrap\n\ngo 1.26.8\n", "scripts/install.sh": text} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(root, "scripts", "install.sh")
}

// fakeGo says which version it is, and builds the program of the tests.
const fakeGo = `
if [ "$1" = env ]; then echo "$GO_VERSION"; exit; fi
echo "go $*; CGO_ENABLED=$CGO_ENABLED" >>"$HOME/built"
while [ $# -gt 1 ]; do [ "$1" != -o ] || out=$2; shift; done
printf '%s' "$PROGRAM" >"$out"
chmod +x "$out"
`

func TestInACheckout(t *testing.T) {
	tests := map[string]struct {
		version string
		body    string
		code    int
		says    string
	}{
		"new enough":       {"go1.26.8", fakeGo, 0, "building the installer"},
		"newer":            {"go1.27rc1", fakeGo, 0, ""},
		"unreleased":       {"devel go1.28-abcdef", fakeGo, 0, ""},
		"too old":          {"go1.19.4", fakeGo, 3, "Go 1.26.8 or later is needed, and \"go\" is go1.19.4"},
		"a patch too old":  {"go1.26.7", fakeGo, 3, "is go1.26.7"},
		"cannot get newer": {"", "echo 'go: download go1.26.8: no route' >&2; exit 1", 3, "go: download go1.26.8: no route\nbootstrap: Go 1.26.8 or later is needed"},
		"does not build":   {"go1.26.8", fakeGo + "exit 1", 1, "the installer does not build"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			eachShell(t, func(t *testing.T, shell []string) {
				file := checkout(t, script(t))
				h := newHost(t)
				h.fake(t, "go", tt.body)
				h.env = []string{"GO_VERSION=" + tt.version, "PROGRAM=" + program}
				r := h.run(t, append(shell, file, "--prefix", "/a b")...)
				r.expect(t, tt.code, tt.says)
				if ran := strings.Contains(r.stdout, "argument </a b>"); ran != (tt.code == 0) {
					t.Errorf("got %q", r.stdout)
				}
				if tt.code != 0 {
					r.expect(t, tt.code, "hint: ")
					return
				}
				built, err := os.ReadFile(filepath.Join(h.home, "built"))
				if err != nil || !strings.Contains(string(built), "build -trimpath") || !strings.Contains(string(built), "CGO_ENABLED=0") {
					t.Errorf("built: %s, %v", built, err)
				}
				if got := h.left(t); got != "bootstrap-checkout" {
					t.Errorf("the cache holds %q", got)
				}
			})
		})
	}
}

func TestFindsTheCheckout(t *testing.T) {
	file := checkout(t, script(t))
	dir := filepath.Dir(file)
	outside := filepath.Join(t.TempDir(), "install.sh")
	if err := os.WriteFile(outside, []byte(script(t)), 0o755); err != nil {
		t.Fatal(err)
	}
	dash := look(t, "dash")
	tests := map[string]struct {
		argv []string
		env  string
		code int
		says string
	}{
		"absolute":             {[]string{file, "x"}, "", 0, "building"},
		"from within":          {[]string{dash, "-c", "cd " + dir + " && exec " + dash + " install.sh x"}, "", 0, "building"},
		"relative":             {[]string{dash, "-c", "cd " + dir + "/.. && exec scripts/install.sh x"}, "", 0, "building"},
		"elsewhere":            {[]string{outside, "x"}, "", 1, "hint: set BOOTSTRAP_RELEASES"},
		"releases are asked":   {[]string{file, "x"}, "BOOTSTRAP_RELEASES=ftp://x", 2, "BOOTSTRAP_RELEASES"},
		"CDPATH is no trouble": {[]string{dash, "-c", "cd " + dir + "/.. && exec scripts/install.sh x"}, "CDPATH=/:/tmp", 0, "building"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.fake(t, "go", fakeGo)
			h.env = []string{"GO_VERSION=go1.30.0", "PROGRAM=" + program, tt.env}
			h.run(t, tt.argv...).expect(t, tt.code, tt.says)
		})
	}
}

func TestWithoutGo(t *testing.T) {
	text := strings.ReplaceAll(script(t), "/usr/local/go/bin/go", "/nowhere/go")
	newHost(t).run(t, checkout(t, text), "x").expect(t, 3, "Go is not installed", "hint: install Go 1.26.8 or later")
}
