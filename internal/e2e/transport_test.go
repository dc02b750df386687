//go:build e2e

package e2e_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bootstrap/internal/drv"
)

// storeDirs are where the expressions are evaluated; transport goes from the distinctive ones to all.
var storeDirs = []drv.Dir{"/opt/some/store", "/srv/elsewhere/deep/store", "/home/somebody/with-a-long-name/opt/store", "/nix/store"}

// testTransport evaluates expressions in several store directories, and holds what internal/drv makes of the first
// against what Nix gives in the others: every derivation, byte for byte, and every path.
func testTransport(t *testing.T, p *place) {
	work := p.scratch(t)
	p.w.mkdir(t, filepath.Join(work, "tree"))
	for name, mode := range map[string]os.FileMode{"file": 0o644, "program": 0o755, "left-out": 0o644} {
		if err := os.WriteFile(filepath.Join(work, "tree", name), []byte("this is "+name+"\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"corpus.nix", "sources.nix", "misses.nix"} {
		text, err := os.ReadFile(filepath.Join("..", "drv", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(work, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	expressions := []string{"corpus.nix", "sources.nix", p.packages()}
	for seed := range uint64(8) {
		name := fmt.Sprintf("random-%d.nix", seed)
		if err := os.WriteFile(filepath.Join(work, name), []byte(randomExpression(seed, 60)), 0o644); err != nil {
			t.Fatal(err)
		}
		expressions = append(expressions, name)
	}
	roots := map[drv.Dir][]string{}
	for i, dir := range storeDirs {
		for _, expression := range expressions {
			roots[dir] = append(roots[dir], p.instantiate(t, work, i, expression)...)
		}
	}
	for i, from := range storeDirs {
		if drv.Distinctive(from) != nil {
			continue
		}
		files, err := drv.OpenFiles(realStore(work, i))
		if err != nil {
			t.Fatal(err)
		}
		for j, to := range storeDirs {
			r, err := drv.Transport(drv.Options{From: from, To: to, Store: files, Dirs: beside(from, to)}, roots[from]...)
			if err != nil {
				t.Errorf("%s to %s: %v", from, to, err)
				continue
			}
			wrong := 0
			for k, root := range roots[from] {
				base := strings.TrimPrefix(root, string(from)+"/")
				if string(to)+"/"+r.Bases[base] != roots[to][k] {
					wrong++
					t.Errorf("%s to %s: %s becomes %s, nix has %s", from, to, root, r.Bases[base], roots[to][k])
				}
			}
			for base, text := range r.Texts {
				if made, err := os.ReadFile(filepath.Join(realStore(work, j), base)); err != nil || string(made) != string(text) {
					t.Errorf("%s to %s: %s is not as nix made it: %v", from, to, base, err)
				}
			}
			if err := r.Verify(to); err != nil {
				t.Error(err)
			}
			t.Logf("measured: %s to %s: %d of %d roots agree, %d derivations", from, to, len(roots[from])-wrong, len(roots[from]), len(r.Derivations))
		}
	}
	p.testMisses(t, work)
}

// testMisses: what cannot be transported is refused, or gets a name that Nix does not give there.
func (p *place) testMisses(t *testing.T, work string) {
	t.Helper()
	const i, j = 0, 3
	from, to := storeDirs[i], storeDirs[j]
	roots, there := p.instantiate(t, work, i, "misses.nix"), p.instantiate(t, work, j, "misses.nix")
	files, err := drv.OpenFiles(realStore(work, i))
	if err != nil {
		t.Fatal(err)
	}
	missed, refused := 0, 0
	for k, root := range roots {
		r, err := drv.Transport(drv.Options{From: from, To: to, Store: files}, root)
		var no *drv.RefusedError
		switch {
		case errors.As(err, &no):
			refused++
		case err != nil:
			t.Errorf("%s: %v", root, err)
		default:
			missed++
			base := r.Bases[strings.TrimPrefix(root, string(from)+"/")]
			if _, err := os.Stat(filepath.Join(realStore(work, j), base)); string(to)+"/"+base == there[k] || err == nil {
				t.Errorf("%s becomes %s, and Nix has that there", root, base)
			}
		}
	}
	if missed != 4 || refused != 2 { // as the file says
		t.Errorf("%d were missed, and %d refused", missed, refused)
	}
}

// beside are the directories of Nix that the package set derives from the store directory.
func beside(from, to drv.Dir) (list []drv.Move) {
	for _, d := range []string{"var/nix", "var/log/nix", "etc/nix"} {
		move := func(store drv.Dir) drv.Dir { return drv.Dir(filepath.Join(filepath.Dir(string(store)), d)) }
		list = append(list, drv.Move{From: move(from), To: move(to)})
	}
	return list
}

func realStore(work string, i int) string { return filepath.Join(work, fmt.Sprint("store", i)) }

// instantiate evaluates a file in a store directory that is elsewhere on disk, and returns the roots.
func (p *place) instantiate(t *testing.T, work string, i int, file string) []string {
	t.Helper()
	query := url.Values{"store": {string(storeDirs[i])}, "real": {realStore(work, i)}, "state": {realStore(work, i) + "-state"}, "log": {realStore(work, i) + "-log"}}
	text, _ := url.QueryUnescape(query.Encode())
	c := p.bare(work, []string{p.programPath(t, "nix-instantiate"), "--store", "local?" + text, file})
	lines := strings.Fields(c.must(t))
	for i, l := range lines {
		lines[i], _, _ = strings.Cut(l, "!") // the output
	}
	if len(lines) < 5 {
		t.Fatalf("%s: only %d derivations", file, len(lines))
	}
	return lines
}

// randomExpression writes n derivations that name each other in every way that transport knows.
func randomExpression(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 2))
	var b strings.Builder
	b.WriteString("let\n  make = attrs: derivation ({ system = \"x86_64-linux\"; builder = \"/bin/sh\"; } // attrs);\n" +
		"  discard = builtins.unsafeDiscardStringContext;\n  source = builtins.unsafeDiscardOutputDependency;\n")
	ways := []string{
		`"${%s}"`, `"a ${%s}-more\n\t\"b\""`, `discard "${%s}"`, `%s.drvPath`, `discard %s.drvPath`, `source %s.drvPath`,
		`baseNameOf (toString %s)`, `builtins.substring 0 32 (baseNameOf (discard (toString %s)))`,
		`builtins.toFile "text" "see ${builtins.toFile "inner" (discard "${%s}")}"`,
		`"-L${%s}/lib -L${builtins.storeDir} ${builtins.storeDir}/x"`, `[ %s 1 true ]`,
	}
	for i := range n {
		fmt.Fprintf(&b, "  d%d = make {\n    name = \"n%d", i, i)
		if i > 0 && r.IntN(8) == 0 {
			fmt.Fprintf(&b, "-${discard (baseNameOf (toString d%d))}", i-1)
			if r.IntN(2) == 0 { // names have a limit
				b.WriteString("x")
			}
		}
		b.WriteString("\";\n")
		switch r.IntN(6) {
		case 0:
			b.WriteString("    outputs = [ \"out\" \"dev\" ];\n")
		case 1:
			algo, digits := []string{"md5", "sha1", "sha256", "sha512"}[r.IntN(4)], 0
			switch algo {
			case "md5":
				digits = 32
			case "sha1":
				digits = 40
			case "sha256":
				digits = 64
			case "sha512":
				digits = 128
			}
			fmt.Fprintf(&b, "    outputHashMode = %q;\n    outputHashAlgo = %q;\n    outputHash = %q;\n",
				[]string{"flat", "recursive"}[r.IntN(2)], algo, strings.Repeat(fmt.Sprintf("%02x", i), digits/2))
		case 2:
			b.WriteString("    self = placeholder \"out\";\n")
		}
		for j := range r.IntN(4) * min(i, 1) {
			fmt.Fprintf(&b, "    v%d = %s;\n", j, strings.ReplaceAll(ways[r.IntN(len(ways))], "%s", fmt.Sprintf("d%d", r.IntN(i))))
		}
		b.WriteString("  };\n")
	}
	b.WriteString("in [\n")
	for i := range n {
		fmt.Fprintf(&b, "  d%d\n", i)
	}
	b.WriteString("]\n")
	return b.String()
}
