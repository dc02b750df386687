//go:build e2e

package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// testSharedCaches gives both prefixes one cache directory, as somebody may who is short of space, and
// has them use it in turn.
func testSharedCaches(t *testing.T, n *neighbours) {
	shared := filepath.Join(n.a.scratch(t), "cache")
	n.w.mkdir(t, shared)
	for _, p := range []*place{n.a, n.b} {
		cache := p.layout(t).UserCache(p.account.name)
		remove(t, cache)
		n.w.link(t, shared, cache)
		t.Cleanup(func() { remove(t, cache) })
	}
	t.Run("fetcher", func(t *testing.T) { testSharedFetches(t, n) })
	t.Run("evaluation", func(t *testing.T) { testSharedEvaluation(t, n, shared) })
	t.Run("registry", func(t *testing.T) { testSharedRegistry(t, n, shared) })
	t.Run("binary cache", func(t *testing.T) { testSharedCacheInfo(t, n) })
}

// inTurn runs a command line with both prefixes, three times.
func (n *neighbours) inTurn(t *testing.T, dir, line string) {
	t.Helper()
	for range 3 {
		for _, p := range []*place{n.a, n.b} {
			r := p.line(t, dir, line).run(t).want(t, 0)
			for _, problem := range []string{"error", "is not in the Nix store", "unexpectedly succeeded"} {
				if strings.Contains(r.stderr, problem) {
					t.Errorf("%s\n%s", r, r.tail())
				}
			}
			for line := range strings.Lines(r.stdout) {
				if strings.HasPrefix(line, "/") && !strings.HasPrefix(line, p.store+"/") {
					t.Errorf("%s\nit prints %s", r, line)
				}
			}
		}
	}
}

// testSharedFetches: what one has fetched, the other has not.
func testSharedFetches(t *testing.T, n *neighbours) {
	w := n.a.newWares(t)
	n.inTurn(t, w.dir, "nix eval --impure --raw -f src/fetch.nix")
	n.inTurn(t, w.dir, "nix flake metadata file://"+w.dir+"/flake.tar.gz")
}

// testSharedEvaluation: a flake in an archive is locked, and what it evaluates to is remembered.
// Its builder is of no prefix, so that it is the same flake for both.
func testSharedEvaluation(t *testing.T, n *neighbours, shared string) {
	w := n.a.newWares(t)
	flake := n.plainFlake(t, w, "ok")
	n.inTurn(t, w.dir, "nix eval --raw "+flake+"#ok.drvPath")
	n.inTurn(t, w.dir, "nix build --no-link --print-out-paths "+flake+"#ok")
	n.inTurn(t, w.dir, "nix path-info --derivation "+flake+"#ok")
	// What fails in one store is not remembered as a failure by the other.
	for range 2 {
		n.a.line(t, w.dir, "nix eval --raw "+flake+"#picky").must(t)
		r := n.b.line(t, w.dir, "nix eval --raw "+flake+"#picky").run(t)
		r.refused(t, "not for this store")
	}
	caches, err := filepath.Glob(filepath.Join(shared, "eval-cache-v*/*.sqlite"))
	if err != nil || len(caches)%2 != 0 || len(caches) == 0 {
		t.Errorf("evaluations are remembered in %q, %v; not in as many files for each store", caches, err)
	}
}

// plainFlake returns the reference of a flake without anything of a prefix in it.
func (n *neighbours) plainFlake(t *testing.T, w wares, name string) string {
	t.Helper()
	n.w.put(t, filepath.Join(w.dir, name+".tar.gz"), gzipped(t, w.tar(t, map[string]string{
		"src/flake.nix": `{
  outputs = { self }: {
    packages.` + w.system + ` = {
      ok = derivation { name = "iso-plain-` + filepath.Base(w.dir) + `"; system = "` + w.system + `"; builder = "/bin/sh"; args = [ "-c" "echo ok >$out" ]; };
      picky = if builtins.storeDir == "` + n.a.store + `" then "fine" else throw "not for this store";
    };
  };
}
`,
	})))
	return "file://" + filepath.Join(w.dir, name+".tar.gz")
}

// testSharedRegistry: a registry that is fetched is rooted by a link in the cache directory.
func testSharedRegistry(t *testing.T, n *neighbours, shared string) {
	w := n.a.newWares(t)
	n.w.put(t, filepath.Join(w.dir, "registry.json"), `{"version": 2, "flakes": [{"from": {"type": "indirect", "id": "iso"}, "to": {"type": "tarball", "url": "`+n.plainFlake(t, w, "registered")+`"}}]}`)
	n.inTurn(t, w.dir, "nix eval --raw iso#ok.drvPath --option flake-registry file://"+w.dir+"/registry.json")
	n.inTurn(t, w.dir, "nix registry list --option flake-registry file://"+w.dir+"/registry.json")
	links, err := filepath.Glob(filepath.Join(shared, "flake-registry*.json"))
	if err != nil || len(links) != 2 {
		t.Errorf("the registry is rooted by %q, %v; not by a link for each store", links, err)
	}
}

// testSharedCacheInfo: that a binary cache is for another store directory is noticed every time.
func testSharedCacheInfo(t *testing.T, n *neighbours) {
	for _, pair := range n.pairs() {
		mine, other := pair[0], pair[1]
		var mu sync.Mutex
		asked := map[string]int{}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			asked[r.URL.Path]++
			mu.Unlock()
			if r.URL.Path == "/nix-cache-info" {
				_, _ = w.Write([]byte("StoreDir: " + other.store + "\nWantMassQuery: 1\nPriority: 30\n"))
				return
			}
			http.NotFound(w, r)
		}))
		t.Cleanup(server.Close)
		build := func(p *place) result {
			w := p.newWares(t)
			return p.line(t, w.dir, "nix build --no-link -f src prog --option substituters "+server.URL).run(t).want(t, 0)
		}
		build(other) // whom it is for; it is remembered
		mu.Lock()
		clear(asked)
		mu.Unlock()
		for range 2 {
			r := build(mine)
			if want := "is for Nix stores with prefix '" + other.store + "'"; !strings.Contains(r.stderr, want) {
				t.Errorf("%s\nit does not say that the cache %s\n%s", r, want, r.tail())
			}
		}
		mu.Lock()
		for path, times := range asked {
			if path != "/nix-cache-info" {
				t.Errorf("the cache for %s was asked for %s by %s, %d times", other.store, path, mine.store, times)
			}
		}
		mu.Unlock()
	}
}
