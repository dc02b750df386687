package substitute_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bootstrap/internal/cachetest"
	"bootstrap/internal/drv"
	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/relocate"
	"bootstrap/internal/storetest"
	"bootstrap/internal/substitute"

	"zombiezen.com/go/nix"
)

func TestServes(t *testing.T) {
	t.Parallel()
	for _, how := range []nix.CompressionType{nix.NoCompression, nix.XZ, nix.Zstandard, nix.Gzip} {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			lib, app := w.chain(how)
			r := w.run(plenty)
			info, archive := r.take(t, app)
			has(t, archive, "#!"+lib.Out+"/bin/sh\n", lib.Out+"/lib")
			if len(info.References) != 1 || string(info.References[0]) != lib.Out || string(info.Deriver) != app.Derivation {
				t.Errorf("references %v, deriver %s", info.References, info.Deriver)
			}
			info, archive = r.take(t, lib)
			has(t, archive, "this is the library "+lib.Out+"\n")
			if len(info.References) != 1 || string(info.References[0]) != lib.Out {
				t.Errorf("references to itself: %v", info.References)
			}
			if len(w.made) != 2 || w.made[0].From != app.There || w.made[0].Key != "upstream-1" || w.made[0].Counts[relocate.Rewritten] == 0 {
				t.Errorf("on record: %+v", w.made)
			}
			// A second time, and after a start, nothing is fetched.
			before := w.askedFor("/nar/")
			r.take(t, app)
			r = w.run(plenty)
			r.take(t, lib)
			if n := w.askedFor("/nar/"); n != before || before != 2 {
				t.Errorf("archives were fetched %d times, and then %d times", before, n-before)
			}
		})
	}
}

func TestSaysWhoItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.run(plenty)
	if code, text := r.get(t, "nix-cache-info"); code != http.StatusOK || !strings.HasPrefix(string(text), "StoreDir: /opt/store\n") {
		t.Errorf("%d %s", code, text)
	}
	for _, name := range []string{"", "x.narinfo", strings.Repeat("a", 32) + ".narinfo", "nar/" + strings.Repeat("a", 32) + ".nar", "nar/../key", "key"} {
		if code, _ := r.get(t, name); code != http.StatusNotFound {
			t.Errorf("%q: %d", name, code)
		}
	}
	reply, err := http.Post(r.server.URL+"/nix-cache-info", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	reply.Body.Close()
	if reply.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a POST is answered with %s", reply.Status)
	}
}

// TestNotOffered has what must not be offered: none of it is served, kept or put on record.
func TestNotOffered(t *testing.T) {
	t.Parallel()
	plain := storetest.Tree{"file": "this is @\n"}
	other := nix.StorePath("/nix/store/" + strings.Repeat("b", 32) + "-other")
	for name, tt := range map[string]struct {
		object cachetest.Object
		why    string
	}{
		"no signature":                  {cachetest.Object{Forge: func(i *nix.NARInfo) { i.Sig = nil }}, "none of its 0 signatures"},
		"size that was not signed":      {cachetest.Object{Forge: func(i *nix.NARInfo) { i.NARSize++; i.FileSize = 0 }}, "signature"},
		"reference left out":            {cachetest.Object{Forge: func(i *nix.NARInfo) { i.References = nil }}, "signature"},
		"reference that was not signed": {cachetest.Object{Forge: func(i *nix.NARInfo) { i.References = append(i.References, other) }}, "signature"},
		"name of another":               {cachetest.Object{Change: func(i *nix.NARInfo) { i.StorePath, i.References = other, nil }}, "under its hash"},
		"reference to what is not here": {cachetest.Object{Change: func(i *nix.NARInfo) { i.References = append(i.References, other) }}, "which nothing here becomes"},
		"reference that is not said":    {cachetest.Object{Change: func(i *nix.NARInfo) { i.References = nil }}, "refers to"},
		"changed archive":               {cachetest.Object{Spoil: func(b []byte) []byte { b[len(b)-20] ^= 1; return b }}, "its archive has"},
		"shorter archive":               {cachetest.Object{Spoil: func(b []byte) []byte { return b[:len(b)-8] }}, "its archive has"},
		"longer archive":                {cachetest.Object{Spoil: func(b []byte) []byte { return append(b, make([]byte, 1<<20)...) }}, "its archive has"},
		"damaged xz":                    {cachetest.Object{Compression: nix.XZ, Spoil: func(b []byte) []byte { b[len(b)/2] ^= 1; return b }}, "xz"},
		"cut xz":                        {cachetest.Object{Compression: nix.XZ, Spoil: func(b []byte) []byte { return b[:len(b)/2] }}, ""},
		"cut zstd":                      {cachetest.Object{Compression: nix.Zstandard, Spoil: func(b []byte) []byte { return b[:len(b)/2] }}, ""},
		"unknown compression":           {cachetest.Object{Compression: nix.Brotli}, "compressed as br"},
		"leads elsewhere":               {cachetest.Object{Change: func(i *nix.NARInfo) { i.URL = "http://other.invalid/x.nar" }}, "is not the name of a file"},
		"leads out":                     {cachetest.Object{Change: func(i *nix.NARInfo) { i.URL = "../../etc/passwd" }}, "is not the name of a file"},
		"hazard":                        {cachetest.Object{Tree: storetest.Tree{"x.sha256": strings.Repeat("0", 64) + "  file\n", "file": "this is @\n"}}, "refused"},
		"target in it":                  {cachetest.Object{Tree: storetest.Tree{"file": "this is @ and /opt/store/x\n"}}, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			o := tt.object
			o.Made = w.Derive(cachetest.Recipe{Name: "it"})
			o.References = []string{o.Made.There}
			if o.Tree == nil {
				o.Tree = plain
			}
			if o.Compression == "" {
				o.Compression = nix.NoCompression
			}
			w.Publish(o)
			r := w.run(plenty)
			r.refuses(t, w, o.Made, tt.why)
			if len(w.made) > 0 {
				t.Errorf("on record: %+v", w.made)
			}
		})
	}
}

func TestNotTheKeyThatWasGiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lib, app := w.chain(nix.XZ)
	other := cachetest.New(t, w.Store, w.From, t.TempDir(), t.TempDir())
	w.run(plenty).take(t, lib)
	// What is kept was signed by somebody who is not trusted now, and what is not kept too.
	w.keys = []string{other.Key()}
	for _, m := range []*cachetest.Made{lib, app} {
		code, text := w.run(plenty).get(t, m.Hash()+".narinfo")
		if code != http.StatusNotFound || !strings.Contains(string(text), "by a key that was given") {
			t.Errorf("%s: %d %s", m.Out, code, text)
		}
	}
}

// TestVanishes has a cache that goes away at every stage, and comes back.
func TestVanishes(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"not found":         func(w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true },
		"server error":      func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return true },
		"archive not found": archives(func(w http.ResponseWriter) { w.WriteHeader(404) }),
		"cut in the archive": archives(func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "5000")
			_, _ = w.Write(make([]byte, 100))
			panic(http.ErrAbortHandler)
		}),
		"stalls in the archive": archives(func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "5000")
			_, _ = w.Write(make([]byte, 100))
			w.(http.Flusher).Flush()
			time.Sleep(2 * time.Second)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			lib, _ := w.chain(nix.Zstandard)
			r := w.run(plenty)
			w.mu.Lock()
			w.answer = answer
			w.mu.Unlock()
			r.refuses(t, w, lib, "")
			w.mu.Lock()
			w.answer = nil
			w.mu.Unlock()
			r.take(t, lib)
		})
	}
}

// TestHiccup has each file of the cache fail once: that is no reason to build anything.
func TestHiccup(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lib, app := w.chain(nix.XZ)
	r := w.run(plenty)
	failed := map[string]bool{}
	w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		if failed[r.URL.Path] {
			return false
		}
		failed[r.URL.Path] = true
		rw.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	r.take(t, app)
	r.take(t, lib)
	if len(failed) != 4 {
		t.Errorf("failed once: %v", failed)
	}
}

// archives answers for archives alone.
func archives(f func(http.ResponseWriter)) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/nar/") {
			return false
		}
		f(w)
		return true
	}
}

func TestLeavesSourcesToNix(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	source := w.Derive(cachetest.Recipe{Name: "source.tar.gz", Fixed: strings.Repeat("ab", 32)})
	r := w.run(plenty)
	r.refuses(t, w, source, "fixed by its hash")
	if n := w.askedFor(".narinfo"); n > 0 {
		t.Errorf("the cache was asked %d times", n)
	}
}

// TestTransportRefused has one derivation that cannot be transported: it and what is made of it are not offered,
// and everything else is.
func TestTransportRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lib, app := w.chain(nix.XZ)
	bad := w.Derive(cachetest.Recipe{Name: "bad", Alone: true, Env: []drv.Variable{{Name: "x", Value: "in /opt/storefront"}}})
	top := w.Derive(cachetest.Recipe{Name: "top", Alone: true, Needs: []*cachetest.Made{bad, app}})
	r := w.run(plenty)
	for _, m := range []*cachetest.Made{top, bad} {
		code, text := r.get(t, m.Hash()+".narinfo")
		if code != http.StatusNotFound || !strings.Contains(string(text), "inside a longer word") {
			t.Errorf("%s: %d %s", m.Out, code, text)
		}
	}
	r.take(t, app)
	r.take(t, lib)
}

// TestComesLater has a derivation that comes to the store while the substituter runs.
func TestComesLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.run(plenty)
	if code, _ := r.get(t, strings.Repeat("a", 32)+".narinfo"); code != http.StatusNotFound {
		t.Error("something that nobody has is offered")
	}
	lib, _ := w.chain(nix.XZ)
	r.take(t, lib)
}

func TestBare(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	it := w.Derive(cachetest.Recipe{Name: "it"})
	w.Publish(cachetest.Object{Made: it, Compression: nix.NoCompression, Tree: storetest.Tree{"file": "the store is /nix/store.\n"}})
	_, archive := w.run(plenty).take(t, it)
	has(t, archive, "the store is /opt/store.\n")
	w.options.KeepBare = true // what is kept was made in another way
	code, text := w.run(plenty).get(t, it.Hash()+".narinfo")
	if code != http.StatusNotFound || !strings.Contains(string(text), "directory alone") {
		t.Errorf("%d %s", code, text)
	}
}

// TestBeside has directories beside the store, which are replaced where a derivation names them, and only there.
func TestBeside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.options.Beside = []drv.Move{{From: "/opt/var/nix", To: "/nix/var/nix"}}
	tree := storetest.Tree{"file": "the state is in /nix/var/nix\n"}
	source := w.Derive(cachetest.Recipe{Name: "source"})
	w.Publish(cachetest.Object{Made: source, Compression: nix.NoCompression, Tree: tree})
	named := w.Derive(cachetest.Recipe{Name: "named", Alone: true, Env: []drv.Variable{{Name: "state", Value: "/opt/var/nix"}}})
	files, err := drv.OpenFiles(w.Files)
	if err != nil {
		t.Fatal(err)
	}
	moved, err := drv.Transport(drv.Options{From: w.Store, To: w.From, Store: files, Dirs: w.options.Beside}, named.Derivation)
	if err != nil {
		t.Fatal(err)
	}
	named.There = string(w.From) + "/" + moved.Bases[filepath.Base(named.Out)]
	w.Publish(cachetest.Object{Made: named, Compression: nix.NoCompression, Tree: tree})
	r := w.run(plenty)
	_, archive := r.take(t, named)
	has(t, archive, "/opt/var/nix")
	_, archive = r.take(t, source)
	has(t, archive, "/nix/var/nix")
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		options substitute.CheckOptions
		kind    fault.Kind
		want    string
	}{
		"equal length":               {substitute.CheckOptions{Store: "/opt/store", From: "/nix/store"}, 0, ""},
		"longer":                     {substitute.CheckOptions{Store: "/home/u/store", From: "/nix/store"}, fault.Unfit, "10 bytes fit"},
		"longer and shorter allowed": {substitute.CheckOptions{Store: "/home/u/store", From: "/nix/store", Shorter: true}, fault.Unfit, "2 to 10 bytes fit"},
		"shorter":                    {substitute.CheckOptions{Store: "/s/store", From: "/nix/store"}, fault.Unfit, "10 bytes fit"},
		"shorter allowed":            {substitute.CheckOptions{Store: "/s/store", From: "/nix/store", Shorter: true}, 0, ""},
		"the same":                   {substitute.CheckOptions{Store: "/nix/store", From: "/nix/store"}, fault.Usage, "nothing has to be relocated"},
		"from the usual one":         {substitute.CheckOptions{Store: "/nix/store", From: "/opt/store"}, fault.Unfit, "not distinctive"},
	} {
		err := substitute.Check(tt.options)
		if tt.want == "" && err != nil || tt.want != "" && (fault.KindOf(err) != tt.kind || !strings.Contains(errorText(err), tt.want) || fault.HintOf(err) == "") {
			t.Errorf("%s: %v, hint %q", name, err, fault.HintOf(err))
		}
	}
}

func TestOpenUpstreamRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	empty := t.TempDir()
	for name, tt := range map[string]struct {
		options substitute.UpstreamOptions
		kind    fault.Kind
		want    string
	}{
		"no key":         {substitute.UpstreamOptions{URL: w.upstream.URL}, fault.Usage, "no key given"},
		"no key of Nix":  {substitute.UpstreamOptions{URL: w.upstream.URL, Keys: []string{"x"}}, fault.Usage, `"x": is not a public key`},
		"parameters":     {substitute.UpstreamOptions{URL: w.upstream.URL + "?store=/nix/store", Keys: w.keys}, fault.Usage, "parameters"},
		"ssh":            {substitute.UpstreamOptions{URL: "ssh://host", Keys: w.keys}, fault.Usage, "no binary cache that can be reached"},
		"no directory":   {substitute.UpstreamOptions{URL: "file://" + empty + "/none", Keys: w.keys}, fault.Usage, "no such file"},
		"no cache":       {substitute.UpstreamOptions{URL: "file://" + empty, Keys: w.keys}, fault.Usage, "has no nix-cache-info"},
		"another store":  {substitute.UpstreamOptions{URL: "file://" + w.Cache, Store: "/gnu/store", Keys: w.keys}, fault.Usage, `its store directory is "/nix/store", not "/gnu/store"`},
		"nobody answers": {substitute.UpstreamOptions{URL: "http://127.0.0.1:1", Keys: w.keys, Transport: http.DefaultTransport}, fault.General, "refused"},
	} {
		if tt.options.Store == "" {
			tt.options.Store = "/nix/store"
		}
		_, err := substitute.OpenUpstream(context.Background(), tt.options)
		if err == nil || fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.want) || fault.HintOf(err) == "" {
			t.Errorf("%s: %v, hint %q", name, err, fault.HintOf(err))
		}
	}
	up, err := substitute.OpenUpstream(context.Background(), substitute.UpstreamOptions{URL: "file://" + w.Cache, Store: "/nix/store", Keys: w.keys})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := up.Sources(), "file://"+w.Cache+"?store=%2Fnix%2Fstore"; got != want {
		t.Errorf("sources come from %s, not %s", got, want)
	}
	if err := up.Close(); err != nil {
		t.Error(err)
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lib, app := w.chain(nix.XZ)
	source := w.Derive(cachetest.Recipe{Name: "source.tar.gz", Fixed: strings.Repeat("ab", 32)})
	tool := w.Derive(cachetest.Recipe{Name: "tool"})
	top := w.Derive(cachetest.Recipe{Name: "top", Needs: []*cachetest.Made{source, tool, app}})
	w.Publish(cachetest.Object{Made: tool, Compression: nix.XZ, Tree: storetest.Tree{"bin/tool": "+x nothing\n"}})
	r := w.run(plenty)
	valid := map[string]bool{}
	plan := func(without ...*cachetest.Made) *substitute.Plan {
		t.Helper()
		o := substitute.PlanOptions{Wants: []substitute.Want{{Derivation: top.Derivation}}, Without: map[string]bool{}}
		for _, m := range without {
			o.Without[m.Out] = true
		}
		o.Invalid = func(_ context.Context, paths []string) (list []string, err error) {
			for _, p := range paths {
				if !valid[p] {
					list = append(list, p)
				}
			}
			return list, nil
		}
		p, err := r.Plan(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	same := func(what string, p *substitute.Plan, relocated, sources, build string) {
		t.Helper()
		var paths []string
		for _, i := range p.Relocated {
			paths = append(paths, i.Path)
			if i.Size <= 0 {
				t.Errorf("%s has %d bytes", i.Path, i.Size)
			}
		}
		for _, pair := range [][2]string{
			{strings.Join(bases(paths), " "), relocated}, {strings.Join(bases(p.Sources), " "), sources}, {strings.Join(bases(p.Build), " "), build},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%s: %q, want %q", what, pair[0], pair[1])
			}
		}
	}
	same("all", plan(), "app-1 lib-1 tool", "source.tar.gz", "top.drv")
	same("without the program", plan(app), "lib-1 tool", "source.tar.gz", "app-1.drv top.drv")
	valid[lib.Out] = true
	same("with the library", plan(), "app-1 tool", "source.tar.gz", "top.drv")
	valid[top.Out] = true
	same("with everything", plan(), "", "", "")
	if n := w.askedFor("/nar/"); n > 0 {
		t.Errorf("%d archives were fetched", n)
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key")
	key, err := substitute.LoadKey(file, "/opt/store")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	again, err := substitute.LoadKey(file, "/opt/store")
	if err != nil || again.String() != key.String() {
		t.Errorf("another key the second time: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := substitute.LoadKey(file, "/opt/store"); fault.KindOf(err) != fault.Unfit || fault.HintOf(err) == "" {
		t.Errorf("a key that others may read: %v", err)
	}
	if err := os.WriteFile(file, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := substitute.LoadKey(file, "/opt/store"); fault.KindOf(err) != fault.Unfit {
		t.Errorf("a file that is no key: %v", err)
	}
}

func TestProvenance(t *testing.T) {
	t.Parallel()
	p := substitute.Provenance{File: filepath.Join(t.TempDir(), "provenance.jsonl"), Run: "r", Now: time.Now}
	m := substitute.Made{
		Path: "/opt/store/a", From: "/nix/store/b", URL: "https://cache", Key: "upstream-1", Source: "sha256-x", Result: "sha256-y", Map: "00",
		Counts: map[relocate.Verdict]int{relocate.Rewritten: 3},
	}
	for range 2 {
		if err := p.Record(m); err != nil {
			t.Fatal(err)
		}
	}
	history, err := journal.Load(p.File)
	if err != nil || len(history.Records) != 2 {
		t.Fatalf("%+v, %v", history, err)
	}
	got := history.Records[1]
	if got.Path != m.Path || got.Output["from"] != m.From || got.Output["narHashBefore"] != m.Source || got.Output["rewritten"] != "3" || got.Output["refused"] != "" {
		t.Errorf("%+v", got)
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var all []*cachetest.Made
	for _, name := range []string{"one", "two", "three"} {
		m := w.Derive(cachetest.Recipe{Name: name})
		w.Publish(cachetest.Object{Made: m, Compression: nix.NoCompression, Tree: storetest.Tree{"f": strings.Repeat(name, 40<<10/len(name))}})
		all = append(all, m)
	}
	r := w.run(100 << 10)
	infos := map[*cachetest.Made]string{}
	take := func(m *cachetest.Made) {
		info, _ := r.take(t, m)
		if before := infos[m]; before != "" && before != info.NARHash.SRI() {
			t.Errorf("%s: made again it is another one", m.Out)
		}
		infos[m] = info.NARHash.SRI()
	}
	keeps := func(what string, wants ...*cachetest.Made) {
		t.Helper()
		var want []string
		for _, m := range wants {
			want = append(want, "entries/"+m.Hash()+".json", "nar/"+m.Hash()+".nar")
		}
		slices.Sort(want)
		if got := w.kept(); !slices.Equal(got, want) {
			t.Errorf("%s it keeps %q, not %q", what, got, want)
		}
	}
	take(all[0])
	take(all[1])
	keeps("two", all[0], all[1])
	take(all[0]) // so that the other one is older
	take(all[2])
	keeps("three", all[0], all[2])
	take(all[1])
	keeps("again", all[1], all[2])
	// An archive that had to go after its narinfo was asked for.
	if code, _ := r.get(t, "nar/"+all[0].Hash()+".nar"); code != http.StatusOK {
		t.Errorf("an archive that had to make room: %d", code)
	}
	r = w.run(1)
	take(all[0])
	keeps("one that is too large", all[0])
}

// TestCacheAfterAKill has what processes that were killed may have left, and what a disk may do.
func TestCacheAfterAKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lib, app := w.chain(nix.XZ)
	first := w.run(plenty)
	first.take(t, lib)
	first.take(t, app)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("tmp/half", "x")
	write("nar/"+strings.Repeat("a", 32)+".nar", "an archive without an entry")
	write("entries/"+strings.Repeat("b", 32)+".json", "{}")
	write("nar/"+lib.Hash()+".nar", "something else")
	second, err := substitute.OpenCache(w.dir, plenty, w.now)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(w.kept()); n != 7 {
		t.Errorf("while another process has it open, %d of 7 files are there", n)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if err := first.cache.Close(); err != nil {
		t.Fatal(err)
	}
	third, err := substitute.OpenCache(w.dir, plenty, w.now)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(w.kept()); n != 4 {
		t.Errorf("after it was opened by one alone, %d of 4 files are there: %q", n, w.kept())
	}
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
	if first.cache, err = substitute.OpenCache(w.dir, plenty, w.now); err != nil { // what is closed in the end
		t.Fatal(err)
	}
	r := w.run(plenty)
	_, archive := r.take(t, lib) // it is not what its entry says, and is made again
	has(t, archive, "this is the library "+lib.Out)
	write("entries/"+lib.Hash()+".json", "no JSON")
	r.take(t, lib)
}

// TestOnce has many ask for the same at the same time.
func TestOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, app := w.chain(nix.XZ)
	r := w.run(plenty)
	done := make(chan bool)
	for range 8 {
		go func() {
			reply, err := http.Get(r.server.URL + "/" + app.Hash() + ".narinfo")
			if err == nil {
				reply.Body.Close()
			}
			done <- err == nil && reply.StatusCode == http.StatusOK
		}()
	}
	for range 8 {
		if !<-done {
			t.Error("not all have it")
		}
	}
	if n := w.askedFor("/nar/"); n != 1 {
		t.Errorf("it was fetched %d times", n)
	}
}
