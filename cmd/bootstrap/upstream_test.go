package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"bootstrap/internal/cachetest"
	"bootstrap/internal/drv"
	"bootstrap/internal/storetest"

	"github.com/rogpeppe/go-internal/testscript"
	"zombiezen.com/go/nix"
)

// upstream DIR makes derivations in the store opt/store, and in DIR a binary cache of another store directory of the same
// length, FROM_STORE, which has what some of them make, signed by UPSTREAM_KEY: "app", which refers to "lib", and
// "hazard", which cannot be relocated. "own" is made of all of them and of a source, and nobody has it. The file own.nix
// stands for it, and for the others there are files of their names. The hash part of each is in its name in capitals.
func upstream(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg)
	w := worldOf(ts)
	store := filepath.Join(w.dir, "opt/store")
	from := "/" + strings.Repeat("u", len(store)-len("//store")) + "/store"
	p := cachetest.New(tb{ts: ts}, drv.Dir(store), drv.Dir(from), store, filepath.Join(w.dir, args[0]))
	lib := p.Derive(cachetest.Recipe{Name: "lib"})
	app := p.Derive(cachetest.Recipe{Name: "app", Needs: []*cachetest.Made{lib}})
	hazard := p.Derive(cachetest.Recipe{Name: "hazard"})
	source := p.Derive(cachetest.Recipe{Name: "source", Fixed: strings.Repeat("ab", 32)})
	own := p.Derive(cachetest.Recipe{Name: "own", Needs: []*cachetest.Made{app, hazard, source}})
	p.Publish(cachetest.Object{Made: lib, Compression: nix.XZ, Tree: storetest.Tree{"lib": "in @\n"}, References: []string{lib.There}})
	p.Publish(cachetest.Object{Made: app, Compression: nix.Zstandard, Tree: storetest.Tree{"app": "with " + lib.There + "\n"}, References: []string{lib.There}})
	p.Publish(cachetest.Object{
		Made: hazard, Compression: nix.NoCompression, References: []string{hazard.There},
		Tree: storetest.Tree{"x.sha256": strings.Repeat("0", 64) + "  file\n", "file": "in @\n"},
	})
	for name, m := range map[string]*cachetest.Made{"lib": lib, "app": app, "hazard": hazard, "own": own} {
		ts.Check(os.WriteFile(filepath.Join(w.dir, name+".nix"), []byte("# instantiates "+m.Derivation+"\n"), 0o644))
		ts.Setenv(strings.ToUpper(name), m.Hash())
	}
	ts.Setenv("FROM_STORE", from)
	ts.Setenv("UPSTREAM_KEY", p.Key())
	_, other, err := nix.GenerateKey("upstream-1", zeros{})
	ts.Check(err)
	ts.Setenv("OTHER_KEY", other.PublicKey().String())
}

// zeros is no source of a secret.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// asks is ask SOCKET CODE PATH [PATTERN] asks an HTTP server on a socket, which it may have to wait for.
func asks(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg)
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (c net.Conn, err error) {
		for range 100 {
			if c, err = (&net.Dialer{}).DialContext(ctx, "unix", ts.MkAbs(args[0])); err == nil {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		return c, err
	}}}
	defer client.CloseIdleConnections()
	reply, err := client.Get("http://socket/" + args[2])
	ts.Check(err)
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	ts.Check(err)
	if strconv.Itoa(reply.StatusCode) != args[1] {
		ts.Fatalf("%s: %s\n%s", args[2], reply.Status, body)
	}
	if len(args) > 3 && !regexp.MustCompile("(?m)"+args[3]).Match(body) {
		ts.Fatalf("%s: no match for %q in\n%s", args[2], args[3], fmt.Sprintf("%q", body))
	}
}

// Fatal and TempDir are what [cachetest] needs of a test.
func (t tb) Fatal(args ...any) { t.ts.Fatalf("%s", fmt.Sprint(args...)) }

func (t tb) TempDir() string {
	dir, err := os.MkdirTemp("", "upstream-")
	t.ts.Check(err)
	t.ts.Defer(func() { _ = os.RemoveAll(dir) })
	return dir
}
