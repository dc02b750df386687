//go:build e2e

package e2e_test

import (
	"archive/zip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// testExportLambda runs functions as Lambda does: unpacked in a file system that has nothing else,
// and asked by the API that runtimes have there.
func testExportLambda(t *testing.T, e *exports) {
	if !strings.HasPrefix(e.p.store, "/opt/") {
		e.p.program("export", "lambda", e.hello, "-o", filepath.Join(e.dir, "no.zip")).run(t).want(t, 3)
	}
	onlyRoot(t)
	function := e.documented(t)
	t.Run("layer", func(t *testing.T) {
		file, _ := e.same(t, "layer.zip", "lambda", "--layer", "-f", function)
		root := e.machine(t, "layer")
		unzip(t, file, filepath.Join(root, "opt"))
		e.answers(t, root, "/opt/bootstrap", greeting)
	})
	t.Run("function with /opt", func(t *testing.T) {
		file, said := e.same(t, "function.zip", "lambda", "-f", function)
		if !strings.Contains(said.stdout, "must be a symbolic link to /var/task/opt") {
			t.Errorf("it does not say what it needs:\n%s", said.tail())
		}
		root := e.machine(t, "function")
		unzip(t, file, filepath.Join(root, "var/task"))
		if err := os.Remove(filepath.Join(root, "opt")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/var/task/opt", filepath.Join(root, "opt")); err != nil {
			t.Fatal(err)
		}
		e.answers(t, root, "/var/task/bootstrap", greeting)
	})
	t.Run("function", func(t *testing.T) { e.inTask(t) })
}

// inTask builds for /var/task/store, by a Nix in runtime mode, and exports that.
func (e *exports) inTask(t *testing.T) {
	if cannotSandbox(self(t)) == nil {
		t.Skip("skipped: a store for /var/task: user namespaces cannot be made here")
	}
	home := e.p.w.home(t, "task")
	files := filepath.Join(home, "image")
	asked := &place{w: e.p.w, home: home, account: e.p.account, store: "/var/task/store"}
	asked.install("", "--runtime", "--root", files).run(t).want(t, 0)
	at := *asked
	at.store = filepath.Join(files, "var/task/store")
	there := &exports{p: &at, dir: e.dir}
	static := filepath.Join(e.p.output(t, "toolchain", "busybox"), "bin/busybox")
	// It is executed by a name that begins with "busybox", from a directory that is a store path.
	source := filepath.Join(at.scratch(t), "busybox")
	at.w.mkdir(t, filepath.Join(source, "bin"))
	for _, name := range []string{"busybox", "sh"} {
		if err := os.WriteFile(filepath.Join(source, "bin", name), read(t, static), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	at.w.user.own(t, source)
	file, said := there.same(t, "task.zip", "lambda", "-f", there.bare(t, source))
	if !strings.Contains(said.stdout, "It is a function, unpacked to /var/task.") {
		t.Errorf("it does not say what it is:\n%s", said.tail())
	}
	root := e.machine(t, "task")
	unzip(t, file, filepath.Join(root, "var/task"))
	e.answers(t, root, "/var/task/bootstrap", "")
	at.program("uninstall", "--yes").run(t).want(t, 0)
}

// documented writes the function of docs/LAMBDA.md into a file, as it stands.
func (e *exports) documented(t *testing.T) string {
	t.Helper()
	found := blocksOf(t, "../../docs/LAMBDA.md", "nix")
	file := filepath.Join(e.p.scratch(t), "function.nix")
	e.p.w.put(t, file, found[0])
	return file
}

// bare writes the same function for where there is no package set: with a busybox that becomes a store
// path, and without hello.
func (e *exports) bare(t *testing.T, busybox string) string {
	t.Helper()
	file := e.documented(t)
	text := string(read(t, file))
	for from, to := range map[string]string{
		"inherit (import <bootstrap> { }) busybox hello;": `busybox = builtins.path { path = ` + busybox + `; name = "busybox"; };`,
		"${hello}/bin/hello; ":                            "",
	} {
		if !strings.Contains(text, from) {
			t.Fatalf("docs/LAMBDA.md: there is no %q", from)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	e.p.w.put(t, file, text)
	return file
}

// machine makes a file system with the directories that Lambda has, and nothing in them.
func (e *exports) machine(t *testing.T, name string) string {
	t.Helper()
	root := filepath.Join(e.dir, "machine-"+name)
	for _, dir := range []string{"", "opt", "var", "var/task", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(root, "tmp"), 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, root) })
	return root
}

// unzip unpacks a zip file, links as links.
func unzip(t *testing.T, file, dir string) {
	t.Helper()
	z, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		from, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(from)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, f.Name)
		switch mode := f.Mode(); {
		case mode.IsDir():
			err = os.Mkdir(path, mode.Perm())
		case mode&os.ModeSymlink != 0:
			err = os.Symlink(string(data), path)
		default:
			err = os.WriteFile(path, data, mode.Perm())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// invocation is a Lambda with one event for one function.
type invocation struct {
	event   string
	asked   chan bool   // holds the event until it is asked for
	answers chan string // what the function has said
}

const requestID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"

// ServeHTTP is the part of the API that a runtime needs. Whoever asks for another event waits.
func (i *invocation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const at = "/2018-06-01/runtime/invocation/"
	switch r.Method + " " + r.URL.Path {
	case "GET " + at + "next":
		select {
		case <-i.asked:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", requestID)
			w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(time.Minute).UnixMilli()))
			_, _ = io.WriteString(w, i.event)
		case <-r.Context().Done():
		}
	case "POST " + at + requestID + "/response":
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
		i.answers <- string(body)
	default:
		http.NotFound(w, r)
	}
}

// answers starts a function, by somebody without rights and with nothing of this machine but its
// network, and makes sure that it answers an event with a greeting and the event.
func (e *exports) answers(t *testing.T, root, program, greets string) {
	t.Helper()
	i := &invocation{event: `{"key":"value"}`, asked: make(chan bool, 1), answers: make(chan string, 1)}
	i.asked <- true
	api := httptest.NewServer(i)
	t.Cleanup(func() { api.CloseClientConnections(); api.Close() })
	run := command{
		argv: []string{program}, dir: "/", account: e.p.account,
		env:    []string{"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(api.URL, "http://"), "LAMBDA_TASK_ROOT=/var/task", "PATH=/opt/bin"},
		change: func(cmd *exec.Cmd) { cmd.SysProcAttr.Chroot = root },
	}.start(t)
	ended := make(chan result, 1)
	go func() { ended <- run.wait(t) }()
	select {
	case got := <-i.answers:
		if want := greets + i.event; got != want {
			t.Errorf("it answers %q, not %q", got, want)
		}
	case r := <-ended:
		t.Fatalf("the function ended\n%s", r.tail())
	case <-time.After(time.Minute):
		t.Errorf("the function does not answer: %s", run.stderr.String())
	}
	// It waits for the next event, for ever.
	if err := syscall.Kill(-run.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-ended
}
