package fetch_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/fetch"
)

func TestCorruptCacheEntryIsFetchedAgain(t *testing.T) {
	data := content(3000)
	wrong := bytes.Clone(data)
	wrong[1500] ^= 1
	for name, spoil := range map[string]func(path string) error{
		"other bytes": func(path string) error { return os.WriteFile(path, wrong, 0o644) },
		"truncated":   func(path string) error { return os.Truncate(path, 10) },
		"a directory": func(path string) error { os.Remove(path); return os.MkdirAll(path+"/sub", 0o755) },
		"a symlink": func(path string) error {
			if err := os.Rename(path, path+".moved"); err != nil {
				return err
			}
			return os.Symlink(path+".moved", path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			url, requests := serve(t, good(data))
			files := []fetch.File{fileOf(data, url)}
			w := newWorld(t)
			w.want(t, data)(w.Fetch(t.Context(), files))
			if err := spoil(w.path(files[0].SHA256)); err != nil {
				t.Fatal(err)
			}
			again := newWorld(t, func(o *fetch.Options) { o.CacheDir = w.dir })
			again.want(t, data)(again.Fetch(t.Context(), files))
			if requests.Load() != 2 {
				t.Errorf("%d requests, want 2", requests.Load())
			}
			if fi, err := os.Lstat(w.path(files[0].SHA256)); err != nil || !fi.Mode().IsRegular() {
				t.Errorf("the entry is %v, %v", fi.Mode(), err)
			}
			if !again.events.warned("cache", "pool/x.deb", "removed") {
				t.Errorf("no warning: %v", again.events.of(event.Warn))
			}
		})
	}
}

func TestCompareLeavesWhatIsThere(t *testing.T) {
	data := content(300)
	wrong := bytes.Clone(data)
	wrong[150] ^= 1
	for name, c := range map[string]struct {
		is           []byte // nil for nothing
		there, right bool
	}{
		"nothing":     {nil, false, false},
		"the file":    {data, true, true},
		"other bytes": {wrong, true, false},
		"a part":      {data[:100], true, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			file := fileOf(data)
			path := w.path(file.SHA256)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if c.is != nil {
				if err := os.WriteFile(path, c.is, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			before := w.tree(t)
			there, right, err := w.Compare(t.Context(), file)
			if there != c.there || right != c.right || err != nil {
				t.Errorf("there %t, right %t, %v", there, right, err)
			}
			if diff := cmp.Diff(before, w.tree(t)); diff != "" {
				t.Errorf("cache (-before +after):\n%s", diff)
			}
			if got, err := os.ReadFile(path); c.is != nil && (err != nil || !bytes.Equal(got, c.is)) {
				t.Errorf("the file was changed, %v", err)
			}
		})
	}
}

func TestCacheThatCannotBeWritten(t *testing.T) {
	data := content(100)
	url, _ := serve(t, good(data))
	files := []fetch.File{fileOf(data, url)}
	blocked := func(t *testing.T, dir string) {
		// As root no mode keeps us out; a file where a directory belongs does.
		if err := os.WriteFile(filepath.Join(dir, "tmp"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(dir, 0o700) })
	}

	w := newWorld(t)
	blocked(t, w.dir)
	_, err := w.Fetch(t.Context(), files)
	if fault.KindOf(err) != fault.General || !strings.Contains(fault.HintOf(err), "--cache-dir") {
		t.Errorf("missing file: %v, hint %q", err, fault.HintOf(err))
	}

	full := newWorld(t)
	full.want(t, data)(full.Fetch(t.Context(), files))
	os.RemoveAll(filepath.Join(full.dir, "tmp"))
	blocked(t, full.dir)
	again := newWorld(t, func(o *fetch.Options) { o.CacheDir = full.dir })
	again.want(t, data)(again.Fetch(t.Context(), files))
}

func TestTwoFetchersOneCache(t *testing.T) {
	data := content(64 << 10)
	file := fileOf(data)
	url, requests := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		half := len(data) / 2
		rw.Write(data[:half])
		rw.(http.Flusher).Flush()
		time.Sleep(100 * time.Millisecond)
		rw.Write(data[half:])
	})
	file.URLs = []string{url}
	a := newWorld(t)
	b := newWorld(t, func(o *fetch.Options) { o.CacheDir = a.dir })
	var wait sync.WaitGroup
	for _, w := range []*world{a, b} {
		wait.Go(func() {
			got, err := w.Fetch(t.Context(), []fetch.File{file})
			if err != nil || got[file.SHA256] != w.path(file.SHA256) {
				t.Errorf("Fetch: %v, %v", got, err)
			}
		})
	}
	wait.Wait()
	if got := requests.Load(); got != 2 {
		t.Errorf("%d requests: the two did not meet", got)
	}
	want := []string{filepath.Join("sha256", file.SHA256[:2], file.SHA256)}
	if diff := cmp.Diff(want, a.tree(t)); diff != "" {
		t.Errorf("cache (-want +got):\n%s", diff)
	}
	if read, _ := os.ReadFile(a.path(file.SHA256)); !bytes.Equal(read, data) {
		t.Error("the content is wrong")
	}
}

func TestTemporaryFilesOfKilledRunsAreSwept(t *testing.T) {
	data := content(100)
	url, _ := serve(t, good(data))
	file := fileOf(data, url)
	w := newWorld(t)
	if err := os.MkdirAll(filepath.Join(w.dir, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "tmp", file.SHA256+".123.tmp"), data[:50], 0o600); err != nil {
		t.Fatal(err)
	}
	w.want(t, data)(w.Fetch(t.Context(), []fetch.File{file}))
	if got := w.tree(t); len(got) != 1 {
		t.Errorf("cache holds %q", got)
	}
}
