package installsh_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

const scriptPath = "../../scripts/install.sh"

func script(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(scriptPath)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// shells are those the script must work in.
var shells = map[string][]string{
	"dash":    {"dash"},
	"bash":    {"bash", "--posix"},
	"busybox": {"busybox", "sh"},
}

func eachShell(t *testing.T, test func(t *testing.T, argv []string)) {
	t.Helper()
	for name, argv := range shells {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, append([]string{look(t, argv[0])}, argv[1:]...))
		})
	}
}

func look(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("%s is not on this machine", program)
	}
	return path
}

// host is a machine that has the programs it is given and nothing else.
type host struct {
	home, bin string
	env       []string // added to HOME and PATH
	stdin     string
}

// basic is what every host has, curl, wget and the three for sha256 excepted.
var basic = []string{
	"sh", "cat", "chmod", "grep", "mkdir", "mktemp", "mv", "rm", "sed", "uname", "id",
}

func newHost(t *testing.T, programs ...string) *host {
	t.Helper()
	h := &host{home: t.TempDir(), bin: t.TempDir()}
	for _, name := range append(programs, basic...) {
		if err := os.Symlink(look(t, name), filepath.Join(h.bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// fake adds a program.
func (h *host) fake(t *testing.T, name, body string) {
	t.Helper()
	os.Remove(filepath.Join(h.bin, name))
	if err := os.WriteFile(filepath.Join(h.bin, name), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// result is how a run ended.
type result struct {
	code           int
	stdout, stderr string
}

func (h *host) run(t *testing.T, argv ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = h.home
	cmd.Env = append([]string{"HOME=" + h.home, "PATH=" + h.bin}, h.env...)
	cmd.Stdin = strings.NewReader(h.stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// piped runs the script as "curl | sh -s -- arguments" does.
func (h *host) piped(t *testing.T, shell []string, text string, args ...string) result {
	t.Helper()
	h.stdin = text
	return h.run(t, append(append(shell[:len(shell):len(shell)], "-s", "--"), args...)...)
}

// expect checks the exit code and that stderr says what it should.
func (r result) expect(t *testing.T, code int, says ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d\n%s%s", r.code, code, r.stdout, r.stderr)
	}
	for _, want := range says {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("stderr does not say %q:\n%s", want, r.stderr)
		}
	}
}

// program is a release of the installer that says how it was called, on stdout.
const program = `#!/bin/sh
echo "ran $0"
for a; do echo "argument <$a>"; done
[ -t 0 ] && echo "asks on a terminal"
umask
`

func releaseName() string { return "bootstrap-linux-" + runtime.GOARCH }

func sums(files map[string]string) string {
	var out strings.Builder
	for name, content := range files {
		sum := sha256.Sum256([]byte(content))
		fmt.Fprintf(&out, "%s  %s\n", hex.EncodeToString(sum[:]), name)
	}
	return out.String()
}

// server is a release server; log holds the paths asked for.
type server struct {
	*httptest.Server
	files map[string]string
	log   chan string
}

func newServer(t *testing.T, files map[string]string) *server {
	t.Helper()
	s := &server{files: files, log: make(chan string, 100)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.log <- r.URL.Path
		body, ok := s.files[strings.TrimPrefix(r.URL.Path, "/v1/")]
		switch {
		case !ok:
			http.NotFound(w, r)
		case body == "endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<16)); err != nil {
					return
				}
			}
		case body == "hangs":
			<-r.Context().Done()
		case body == "half":
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "half")
		default:
			fmt.Fprint(w, body)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// asked returns the paths asked for since the last call.
func (s *server) asked() []string {
	var out []string
	for {
		select {
		case path := <-s.log:
			out = append(out, path)
		default:
			return out
		}
	}
}

// release returns a server with a good release.
func release(t *testing.T) *server {
	t.Helper()
	files := map[string]string{releaseName(): program}
	files["SHA256SUMS"] = sums(map[string]string{"install.sh": "x", releaseName(): program})
	return newServer(t, files)
}

// left returns what is in the host's cache directory.
func (h *host) left(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(h.home, ".cache", "bootstrap", "bin"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}
