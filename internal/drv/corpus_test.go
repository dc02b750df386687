package drv_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"bootstrap/internal/drv"
)

// corpus is what nix-instantiate made of testdata/corpus.nix in one store directory.
type corpus struct {
	dir   drv.Dir
	roots []string
	files drv.Memory
}

func loadCorpus(t testing.TB, name string) corpus {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "corpus-"+name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	c := corpus{files: drv.Memory{}}
	for _, f := range txtar.Parse(text).Files {
		if f.Name == "roots" {
			lines := strings.Fields(string(f.Data))
			c.dir, c.roots = drv.Dir(lines[0]), lines[1:]
			continue
		}
		c.files[f.Name] = f.Data[:len(f.Data)-1] // txtar's newline
	}
	if len(c.roots) < 25 || len(c.files) < 30 {
		t.Fatalf("corpus %s has %d roots and %d files", name, len(c.roots), len(c.files))
	}
	return c
}

// TestTransportAgreesWithNix: what Nix made in one store directory becomes, byte for byte, what it made in another.
func TestTransportAgreesWithNix(t *testing.T) {
	for _, way := range [][2]string{{"opt", "nix"}, {"opt", "srv"}, {"srv", "opt"}, {"srv", "nix"}, {"opt", "opt"}, {"nix", "nix"}} {
		t.Run(way[0]+" to "+way[1], func(t *testing.T) {
			from, to := loadCorpus(t, way[0]), loadCorpus(t, way[1])
			r, err := drv.Transport(drv.Options{From: from.dir, To: to.dir, Store: from.files}, from.roots...)
			if err != nil {
				t.Fatal(err)
			}
			for i, root := range from.roots {
				base := strings.TrimPrefix(root, string(from.dir)+"/")
				if got := string(to.dir) + "/" + r.Bases[base]; got != to.roots[i] {
					t.Errorf("%s becomes %s, not %s", root, got, to.roots[i])
				}
			}
			if diff := cmp.Diff(texts(to.files), texts(r.Texts)); diff != "" {
				t.Errorf("texts (-nix +transport):\n%s", diff)
			}
			if err := r.Verify(to.dir); err != nil {
				t.Error(err)
			}
		})
	}
}

func texts(m drv.Memory) map[string]string {
	s := map[string]string{}
	for base, text := range m {
		s[base] = string(text)
	}
	return s
}

// TestParseAgreesWithNix: every file that Nix wrote is written the same again, and has the path that Nix gave it.
func TestParseAgreesWithNix(t *testing.T) {
	for _, name := range []string{"opt", "nix", "srv"} {
		c := loadCorpus(t, name)
		for base, text := range c.files {
			if !strings.HasSuffix(base, ".drv") {
				continue
			}
			d, err := drv.Parse(base[drv.HashLen+1:len(base)-4], text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(text), string(d.Text())); diff != "" {
				t.Errorf("%s (-nix +printed):\n%s", base, diff)
			}
			if got, want := d.Path(c.dir), string(c.dir)+"/"+base; got != want {
				t.Errorf("path %s, want %s", got, want)
			}
		}
	}
}

// TestModuloAgreesWithNix: the outputs that Nix computed follow from the masked digest.
func TestModuloAgreesWithNix(t *testing.T) {
	c := loadCorpus(t, "opt")
	byPath := map[string]*drv.Derivation{}
	for base, text := range c.files {
		if !strings.HasSuffix(base, ".drv") {
			continue
		}
		d, err := drv.Parse(base[drv.HashLen+1:len(base)-4], text)
		if err != nil {
			t.Fatal(err)
		}
		byPath[string(c.dir)+"/"+base] = d
	}
	var of func(p string) (drv.Sum, bool)
	of = func(p string) (drv.Sum, bool) {
		sum, err := byPath[p].Modulo(false, of)
		return sum, err == nil
	}
	outputs := 0
	for p, d := range byPath {
		masked, err := d.Modulo(true, of)
		if err != nil {
			t.Fatal(err)
		}
		if k, _ := d.Kind(); k == drv.FixedOutput {
			continue
		}
		for _, o := range d.Outputs {
			if got := c.dir.Output(d.Name, o.Name, masked); got != o.Path {
				t.Errorf("output %s of %s: %s, want %s", o.Name, p, got, o.Path)
			}
			outputs++
		}
	}
	if outputs < 20 {
		t.Errorf("only %d outputs were looked at", outputs)
	}
	plain := byPath[c.roots[0]]
	if _, err := plain.Modulo(true, func(string) (drv.Sum, bool) { return drv.Sum{}, false }); err == nil && len(plain.Inputs) > 0 {
		t.Error("a digest was computed without those of the inputs")
	}
}

// TestThereAndBack: the second transport undoes the first.
func TestThereAndBack(t *testing.T) {
	from := loadCorpus(t, "opt")
	const to = drv.Dir("/home/somebody/store")
	r, err := drv.Transport(drv.Options{From: from.dir, To: to, Store: from.files}, from.roots...)
	if err != nil {
		t.Fatal(err)
	}
	var roots []string
	for _, root := range from.roots {
		roots = append(roots, string(to)+"/"+r.Bases[strings.TrimPrefix(root, string(from.dir)+"/")])
	}
	back, err := drv.Transport(drv.Options{From: to, To: from.dir, Store: r.Texts}, roots...)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(texts(from.files), texts(back.Texts)); diff != "" {
		t.Errorf("there and back (-before +after):\n%s", diff)
	}
	for base, moved := range r.Bases {
		if back.Bases[moved] != base {
			t.Errorf("%s became %s, which became %s", base, moved, back.Bases[moved])
		}
	}
}
