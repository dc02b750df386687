package substitute_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bootstrap/internal/cachetest"
	"bootstrap/internal/drv"
	"bootstrap/internal/storetest"
	"bootstrap/internal/substitute"

	"zombiezen.com/go/nix"
)

// world is a prefix in /opt/store, whose files are elsewhere, and a cache of /nix/store that is reached by HTTP.
type world struct {
	t *testing.T
	*cachetest.Pair
	dir      string // of what was relocated
	upstream *httptest.Server
	answer   func(w http.ResponseWriter, r *http.Request) bool // may answer in place of the upstream
	options  substitute.Options
	keys     []string

	mu    sync.Mutex
	asked []string // paths that the upstream was asked for
	made  []substitute.Made
	told  []substitute.Told
	clock time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, dir: filepath.Join(dir, "relocated"), clock: time.Unix(1e9, 0)}
	w.Pair = cachetest.New(t, "/opt/store", "/nix/store", filepath.Join(dir, "store"), filepath.Join(dir, "cache"))
	files := http.FileServer(http.Dir(w.Cache))
	w.upstream = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.asked = append(w.asked, r.URL.Path)
		answer := w.answer
		w.mu.Unlock()
		if answer == nil || !answer(rw, r) {
			files.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(w.upstream.Close)
	w.keys = []string{w.Key()}
	return w
}

// now is a clock that goes on by a second each time.
func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(time.Second)
	return w.clock
}

// running is a substituter that answers.
type running struct {
	*substitute.Substituter
	server *httptest.Server
	key    *nix.PrivateKey
	cache  *substitute.Cache
}

// run starts a substituter with a limit on what it keeps.
func (w *world) run(limit int64) *running {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	up, err := substitute.OpenUpstream(ctx, substitute.UpstreamOptions{
		URL: w.upstream.URL, Store: w.From, Keys: w.keys, Transport: http.DefaultTransport, Stall: 500 * time.Millisecond,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	r := &running{}
	if r.cache, err = substitute.OpenCache(w.dir, limit, w.now); err != nil {
		w.t.Fatal(err)
	}
	if r.key, err = substitute.LoadKey(filepath.Join(w.dir, "key"), string(w.Store)); err != nil {
		w.t.Fatal(err)
	}
	o := w.options
	o.Store, o.From, o.Files, o.Upstream, o.Cache, o.Key = w.Store, w.From, w.Files, up, r.cache, r.key
	o.Workers, o.Now = 2, w.now
	o.Record = func(m substitute.Made) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.made = append(w.made, m)
		return nil
	}
	o.Told = func(t substitute.Told) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.told = append(w.told, t)
	}
	if r.Substituter, err = substitute.New(o); err != nil {
		w.t.Fatal(err)
	}
	r.server = httptest.NewServer(r.Handler(ctx))
	w.t.Cleanup(func() {
		r.server.Close()
		cancel()
		if err := r.cache.Close(); err != nil {
			w.t.Error(err)
		}
		if err := up.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return r
}

// get asks the substituter.
func (r *running) get(t *testing.T, name string) (int, []byte) {
	t.Helper()
	reply, err := http.Get(r.server.URL + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply.StatusCode, body
}

// take takes a path as Nix does: the narinfo, its signature, the archive, its digest. It returns the archive.
func (r *running) take(t *testing.T, m *cachetest.Made) (*nix.NARInfo, []byte) {
	t.Helper()
	code, text := r.get(t, m.Hash()+".narinfo")
	if code != http.StatusOK {
		t.Fatalf("%s: %d %s", m.Out, code, text)
	}
	info := &nix.NARInfo{}
	if err := info.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	if string(info.StorePath) != m.Out {
		t.Fatalf("the narinfo is of %s, not %s", info.StorePath, m.Out)
	}
	if len(info.Sig) != 1 || nix.VerifyNARInfo([]*nix.PublicKey{r.key.PublicKey()}, info, info.Sig[0]) != nil {
		t.Errorf("%s: not signed by the prefix's own key: %v", m.Out, info.Sig)
	}
	code, archive := r.get(t, info.URL)
	sum := sha256.Sum256(archive)
	if code != http.StatusOK || int64(len(archive)) != info.NARSize || !nix.NewHash(nix.SHA256, sum[:]).Equal(info.NARHash) {
		t.Fatalf("%s: %d, the archive is not what its narinfo says", m.Out, code)
	}
	return info, archive
}

// refuses makes sure that a path is not offered, and that nothing of it is left.
func (r *running) refuses(t *testing.T, w *world, m *cachetest.Made, why string) {
	t.Helper()
	code, text := r.get(t, m.Hash()+".narinfo")
	if code != http.StatusNotFound || !strings.Contains(string(text), why) {
		t.Errorf("%s: %d %s, want 404 and %q", m.Out, code, text, why)
	}
	if code, _ := r.get(t, "nar/"+m.Hash()+".nar"); code != http.StatusNotFound {
		t.Errorf("%s: its archive is answered with %d", m.Out, code)
	}
	if got := w.kept(); len(got) > 0 {
		t.Errorf("%s: left: %q", m.Out, got)
	}
}

// kept returns what is in the cache of what was relocated.
func (w *world) kept() (names []string) {
	w.t.Helper()
	for _, dir := range []string{"entries", "nar", "tmp"} {
		files, err := os.ReadDir(filepath.Join(w.dir, dir))
		if err != nil {
			w.t.Fatal(err)
		}
		for _, f := range files {
			names = append(names, dir+"/"+f.Name())
		}
	}
	return names
}

// askedFor returns how often the upstream was asked for an archive.
func (w *world) askedFor(part string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, path := range w.asked {
		if strings.Contains(path, part) {
			n++
		}
	}
	return n
}

// chain makes a library and a program that refers to it, published in some way.
func (w *world) chain(how nix.CompressionType) (lib, app *cachetest.Made) {
	w.t.Helper()
	lib = w.Derive(cachetest.Recipe{Name: "lib-1"})
	app = w.Derive(cachetest.Recipe{Name: "app-1", Needs: []*cachetest.Made{lib}})
	w.Publish(cachetest.Object{Made: lib, Compression: how, Tree: storetest.Tree{"lib/liblib.so": "this is the library @\n"}, References: []string{lib.There}})
	w.Publish(cachetest.Object{
		Made: app, Compression: how, References: []string{lib.There},
		Tree: storetest.Tree{"bin/app": "+x #!" + lib.There + "/bin/sh\n", "lib": "-> " + lib.There + "/lib"},
	})
	return lib, app
}

const plenty = 1 << 30

func has(t *testing.T, archive []byte, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !bytes.Contains(archive, []byte(text)) {
			t.Errorf("%q is not in it", text)
		}
	}
	if bytes.Contains(archive, []byte("/nix/store")) {
		t.Error("the other store directory is in it")
	}
}

func errorText(err error) string { return fmt.Sprint(err) }

func bases(paths []string) (list []string) {
	for _, p := range paths {
		list = append(list, filepath.Base(p)[drv.HashLen+1:])
	}
	slices.Sort(list)
	return list
}
