package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bootstrap/internal/closure"
	"bootstrap/internal/debtest"
	"bootstrap/internal/fault"
	"bootstrap/internal/receipt"
	"bootstrap/internal/storetest"

	"github.com/google/go-cmp/cmp"
)

const testStore = "/p/store"

// exportOf returns a closure that is about to be written to a file in dir.
func exportOf(t *testing.T, dir string, c *closure.Closure) *exporting {
	t.Helper()
	silent, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	root, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	m := machine{now: time.Now, stderr: silent, getenv: func(string) string { return "" }}
	e := &exporting{
		m: m, flags: &exportFlags{output: filepath.Join(dir, "out"), json: true}, closure: c, wanted: c.Wanted,
		root: root, view: newView(m, viewOptions{json: true}), close: func() {},
	}
	e.store = c.Store
	return e
}

// TestOutputIsReplacedAsAWhole makes sure that an export that fails leaves the file of an earlier one,
// and nothing beside it.
func TestOutputIsReplacedAsAWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := exportOf(t, dir, storetest.Sample(t, t.TempDir(), testStore))
	put := func(text string, end error) error {
		_, err := e.produce(context.Background(), func(w io.Writer, scratch string, _ func(int64)) error {
			if err := os.WriteFile(filepath.Join(scratch, "layer"), nil, 0o644); err != nil {
				return err
			}
			_, err := io.WriteString(w, text)
			return errors.Join(err, end)
		}, nil)
		return err
	}
	is := func(want string) {
		t.Helper()
		data, err := os.ReadFile(e.flags.output)
		if err != nil || string(data) != want {
			t.Errorf("the file has %q, %v", data, err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Errorf("beside the file: %v, %v", entries, err)
		}
	}
	if err := put("first", nil); err != nil {
		t.Fatal(err)
	}
	is("first")
	if err := put("half", errors.New("no more")); err == nil {
		t.Error("it fails, and there is no error")
	}
	is("first")
	out, err := e.produce(context.Background(), func(w io.Writer, _ string, _ func(int64)) error {
		_, err := io.WriteString(w, "second")
		return err
	}, func(bytes int64) {
		if bytes != 6 {
			t.Errorf("%d bytes before it appears", bytes)
		}
		is1, err := os.ReadFile(e.flags.output)
		if err != nil || string(is1) != "first" {
			t.Errorf("it appears too early: %q, %v", is1, err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	is("second")
	sum := sha256.Sum256([]byte("second"))
	if out.SHA256 != hex.EncodeToString(sum[:]) || out.Bytes != 6 || len(out.Paths) != 3 || out.Unpacked != e.closure.Bytes() {
		t.Errorf("it says %+v", out)
	}
}

func TestArchitecture(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	amd64 := string(debtest.ELF{Needed: []string{"libc.so.6"}}.Bytes(t))
	c := storetest.Closure(dir, testStore, []closure.Path{
		storetest.Path(t, dir, testStore, storetest.Digest("a")+"-elf", storetest.Tree{"bin/real": "+x " + amd64, "bin/app": "-> real"}),
		storetest.Path(t, dir, testStore, storetest.Digest("b")+"-script", storetest.Tree{"bin/app": "+x #!/bin/sh\n"}),
	}, 0)
	e := exportOf(t, t.TempDir(), c)
	e.receipt = &receipt.Receipt{Host: receipt.Host{Architecture: "amd64"}}
	for arch, want := range map[string]string{"": "amd64", "amd64": "amd64"} {
		if got, err := (&containerFlags{arch: arch}).architecture(e); err != nil || got != want {
			t.Errorf("--arch %q: %s, %v", arch, got, err)
		}
	}
	if _, err := (&containerFlags{arch: "arm64"}).architecture(e); fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "/bin/app") {
		t.Errorf("a program for another architecture: %v", err)
	}
	e.wanted = []string{c.Paths[1].Path}
	if got, err := (&containerFlags{arch: "arm64"}).architecture(e); err != nil || got != "arm64" {
		t.Errorf("a script: %s, %v", got, err)
	}
}

func TestProgram(t *testing.T) {
	t.Parallel()
	c := storetest.Sample(t, t.TempDir(), testStore)
	e := exportOf(t, t.TempDir(), c)
	app := c.Wanted[0] + "/bin/app"
	for _, name := range []string{"app", "bin/app", "/bin/app", app} {
		if got, err := e.program("--entrypoint", name); err != nil || got != app {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	for _, name := range []string{"lib", "none", "", "../app", "share/man/app.1", c.Wanted[0] + "/etc/app.conf", testStore + "/" + storetest.Digest("f") + "-x/bin/app"} {
		if got, err := e.program("--entrypoint", name); fault.KindOf(err) != fault.Usage || fault.HintOf(err) == "" {
			t.Errorf("%q: %s, %v", name, got, err)
		}
	}
	f := &containerFlags{entrypoint: []string{"app", "-x", "y"}}
	got, err := f.entry(e)
	if diff := cmp.Diff([]string{"/bin/app", "-x", "y"}, got); diff != "" || err != nil {
		t.Errorf("entrypoint: %v (-want +got):\n%s", err, diff)
	}
	if got, err := (&containerFlags{}).entry(e); err != nil || got != nil { // bin has two names
		t.Errorf("without one: %q, %v", got, err)
	}
	l := &lambdaFlags{}
	if got, err := l.begin(e); fault.KindOf(err) != fault.Usage || !strings.Contains(fault.HintOf(err), "--bootstrap") {
		t.Errorf("no bootstrap is named, and there are two programs: %s, %v", got, err)
	}
	for _, row := range []struct {
		flags lambdaFlags
		want  string
	}{
		{lambdaFlags{layer: true}, ""},
		{lambdaFlags{chosen: true}, ""},
		{lambdaFlags{chosen: true, bootstrap: "app"}, app},
	} {
		if got, err := row.flags.begin(e); err != nil || got != row.want {
			t.Errorf("%+v: %s, %v", row.flags, got, err)
		}
	}
}

func TestLambdaLimits(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[int64]string{250 << 20: "", 250<<20 + 1: "250.0 MiB at most"} {
		if got := tooLargeUnpacked(bytes); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%d bytes unpacked: %q", bytes, got)
		}
	}
	for bytes, want := range map[int64]string{50 << 20: "", 50<<20 + 1: "50.0 MiB at most"} {
		if got := tooLargeZipped(bytes); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%d bytes zipped: %q", bytes, got)
		}
	}
}

func TestImageName(t *testing.T) {
	t.Parallel()
	digest := storetest.Digest("a")
	for path, want := range map[string]string{
		"hello-2.10": "hello-2.10:" + digest,
		"Hello_2":    "hello_2:" + digest,
		"a+b":        "closure:" + digest,
		"a.-b":       "closure:" + digest,
	} {
		if got := (&containerFlags{}).imageName(testStore + "/" + digest + "-" + path); got != want {
			t.Errorf("%s is called %s, not %s", path, got, want)
		}
	}
	for name, want := range map[string]bool{
		"hello:1": true, "localhost/a/b-c:v1.2_3": true, "hello": false, "Hello:1": false, "a b:1": false, "a:": false, "a:.x": false,
	} {
		err := (&containerFlags{name: name}).check()
		if (err == nil) != want {
			t.Errorf("--name %q: %v", name, err)
		}
	}
}
