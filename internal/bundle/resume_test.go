package bundle_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bootstrap/internal/bundle"
	"bootstrap/internal/closure"

	"github.com/google/go-cmp/cmp"
)

// TestResumes begins where a run that was killed has stopped: in the middle of a path, with all of
// them staged, and with names given but nothing registered.
func TestResumes(t *testing.T) {
	t.Parallel()
	c, data := sample(t)
	for name, leave := range map[string]func(t *testing.T, p *place){
		"half a path": func(t *testing.T, p *place) {
			half := filepath.Join(p.files, ".import-"+c.Paths[1].Base())
			if err := os.MkdirAll(filepath.Join(half, "bin"), 0o555); err != nil {
				t.Fatal(err)
			}
		},
		"interrupted": func(t *testing.T, p *place) {
			ctx, cancel := context.WithCancel(context.Background())
			o := p.options
			o.From, o.Done = bytes.NewReader(data), func(int64) { cancel() }
			if _, err := bundle.Import(ctx, o); !errors.Is(err, context.Canceled) {
				t.Fatalf("interrupted: %v", err)
			}
			if p.registered(t) != "" {
				t.Error("interrupted, and something is registered")
			}
		},
		"not registered": func(t *testing.T, p *place) {
			if err := os.WriteFile(filepath.Join(p.state, "fail"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := p.take(data); err == nil {
				t.Fatal("Nix fails, and the import does not")
			}
			if err := os.Remove(filepath.Join(p.state, "fail")); err != nil {
				t.Fatal(err)
			}
		},
		"a build that failed": func(t *testing.T, p *place) {
			if err := os.WriteFile(filepath.Join(p.files, c.Paths[2].Base()), []byte("rest"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			leave(t, p)
			if _, err := p.take(data); err != nil {
				t.Fatal(err)
			}
			p.complete(t, c)
		})
	}
}

// TestTakesWhatIsStaged makes sure that what an earlier run has made is not made again.
func TestTakesWhatIsStaged(t *testing.T) {
	t.Parallel()
	c, data := sample(t)
	p := newPlace(t)
	ctx, cancel := context.WithCancel(context.Background())
	o := p.options
	seen := 0
	o.From, o.Done = bytes.NewReader(data), func(int64) {
		if seen++; seen == 4 { // in the second path
			cancel()
		}
	}
	if _, err := bundle.Import(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	staged := filepath.Join(p.files, ".import-"+c.Paths[0].Base(), "lib/libx.so")
	before := inode(t, staged)
	if _, err := p.take(data); err != nil {
		t.Fatal(err)
	}
	p.complete(t, c)
	if after := inode(t, filepath.Join(p.files, c.Paths[0].Base(), "lib/libx.so")); after != before {
		t.Error("a path that was complete was made again")
	}
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

func TestWhatIsHereStays(t *testing.T) {
	t.Parallel()
	c, data := sample(t)
	p := newPlace(t)
	text := c.Paths[2]
	if err := os.WriteFile(filepath.Join(p.files, text.Base()), []byte("another"), 0o444); err != nil {
		t.Fatal(err)
	}
	for name, what := range map[string]string{
		"registered": text.Path + "\n",
		"info":       `{"` + text.Path + `":{"narHash":"sha256:` + strings.Repeat("0", 64) + `","narSize":1,"references":[]}}`,
	} {
		if err := os.WriteFile(filepath.Join(p.state, name), []byte(what), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	made, err := p.take(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{text.Path}, made.Other); diff != "" {
		t.Errorf("other contents (-want +got):\n%s", diff)
	}
	if data, err := os.ReadFile(filepath.Join(p.files, text.Base())); err != nil || string(data) != "another" {
		t.Errorf("what was here is now %q, %v", data, err)
	}
	want := text.Path + "\n" + string(closure.Registration(c.Paths[:2]))
	if diff := cmp.Diff(want, p.registered(t)); diff != "" {
		t.Errorf("registered (-want +got):\n%s", diff)
	}
}

// TestBuiltMeanwhile waits for a build of one of the paths, which is valid then: it is not touched.
func TestBuiltMeanwhile(t *testing.T) {
	t.Parallel()
	c, data := sample(t)
	p := newPlace(t)
	text := c.Paths[2]
	at := filepath.Join(p.files, text.Base())
	lock, err := os.OpenFile(at+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	waited := 0
	p.options.Waiting = func(what string) {
		waited++
		// As Nix ends a build.
		err := errors.Join(
			os.WriteFile(at, []byte("built meanwhile"), 0o444),
			os.WriteFile(filepath.Join(p.state, "registered"), []byte(text.Path+"\n"), 0o644),
			os.Remove(lock.Name()),
		)
		_, werr := lock.WriteString("d")
		if err := errors.Join(err, werr, lock.Close()); err != nil {
			t.Error(err)
		}
	}
	made, err := p.take(data)
	if err != nil {
		t.Fatal(err)
	}
	if waited != 1 {
		t.Errorf("it has waited %d times", waited)
	}
	if data, err := os.ReadFile(at); err != nil || string(data) != "built meanwhile" {
		t.Errorf("what was built is now %q, %v", data, err)
	}
	if diff := cmp.Diff([]string{text.Path}, made.Had); diff != "" {
		t.Errorf("here before (-want +got):\n%s", diff)
	}
	want := text.Path + "\n" + string(closure.Registration(c.Paths[:2]))
	if diff := cmp.Diff(want, p.registered(t)); diff != "" {
		t.Errorf("registered (-want +got):\n%s", diff)
	}
	for _, name := range p.names(t) {
		if strings.HasPrefix(name, ".import-") || strings.HasSuffix(name, ".lock") {
			t.Errorf("left in the store: %s", name)
		}
	}
}
