package fetch_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bootstrap/internal/fault"
	"bootstrap/internal/fetch"
)

// local writes a file outside of the cache.
func local(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTakesAFileOfThisMachine(t *testing.T) {
	w := newWorld(t)
	data := content(100_000)
	for name, size := range map[string]int64{"its size": int64(len(data)), "no size": 0} {
		t.Run(name, func(t *testing.T) {
			file := fetch.File{SHA256: digestOf(data), Size: size, Name: "nix", Path: local(t, data)}
			w.want(t, data)(w.Fetch(t.Context(), []fetch.File{file}))
			// From then on it is the cache's.
			file.Path = "/nonexistent"
			w.want(t, data)(w.Fetch(t.Context(), []fetch.File{file}))
			if err := os.RemoveAll(w.path(file.SHA256)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestRefusesAnotherFileOfThisMachine(t *testing.T) {
	data := content(1000)
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		path string
		kind fault.Kind
		want string
	}{
		"other bytes": {local(t, append([]byte("x"), data[1:]...)), fault.Verify, "sha256 is "},
		"shorter":     {local(t, data[1:]), fault.Verify, "999 bytes, not 1000"},
		"longer":      {local(t, append(data, 'x')), fault.Verify, "1001 bytes, not 1000"},
		"missing":     {"/nonexistent/nix", fault.General, "no such file"},
		"a directory": {t.TempDir(), fault.General, "is not a file"},
		"a pipe":      {pipe, fault.General, "is not a file"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			file := fetch.File{SHA256: digestOf(data), Size: 1000, Name: "nix", Path: tt.path}
			_, err := w.Fetch(t.Context(), []fetch.File{file})
			if fault.KindOf(err) != tt.kind || fault.HintOf(err) == "" || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v (%v), want %q", err, fault.KindOf(err), tt.want)
			}
			for _, left := range w.tree(t) {
				if strings.Contains(left, file.SHA256) {
					t.Errorf("left behind: %s", left)
				}
			}
		})
	}
}
