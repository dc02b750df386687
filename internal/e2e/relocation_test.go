//go:build e2e

package e2e_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"zombiezen.com/go/nix/nar"

	"bootstrap/internal/relocate"
)

// elsewhere is a map from a prefix to one that there is not, of the same length, for n paths: those that are given,
// by their last elements, and others.
func elsewhere(t *testing.T, p *place, names []string, n int) *relocate.Map {
	t.Helper()
	root := p.root()
	r := rand.New(rand.NewPCG(1, 2))
	letters := func(n int, from string) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = from[r.IntN(len(from))]
		}
		return string(b)
	}
	other := "/" + letters(len(root)-1, "abcdefghijklmnopqrstuvwxyz0123456789")
	o := relocate.MapOptions{
		Store: relocate.Dir{From: p.store, To: other + strings.TrimPrefix(p.store, root)}, Paths: map[string]string{},
		Dirs: []relocate.Dir{{From: root + "/var", To: other + "/var"}, {From: root + "/etc", To: other + "/etc"}},
	}
	hash := func() string { return letters(32, "0123456789abcdfghijklmnpqrsvwxyz") }
	for _, name := range names {
		o.Paths[name] = hash() + name[32:]
	}
	for len(o.Paths) < n {
		o.Paths[hash()+"-more"] = hash() + "-more"
	}
	m, err := relocate.NewMap(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// testRelocation relocates every machine code file of the toolchain and of the native nix, and takes it back: byte for
// byte what it was, or refused with a reason. The native nix itself must not be refused.
func testRelocation(t *testing.T, p *place) {
	native := p.native(t)
	closure := p.pathInfos(t, "--recursive", native)
	entries, err := os.ReadDir(p.store)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if len(name) > 33 && name[32] == '-' && !strings.HasSuffix(name, ".lock") && !strings.HasSuffix(name, ".chroot") {
			names = append(names, name)
		}
	}
	m := elsewhere(t, p, names, 0)
	same, changed, refused := 0, 0, map[string]int{}
	for _, e := range entries {
		dir := filepath.Join(p.store, e.Name())
		if !e.IsDir() || e.Name()[0] == '.' || strings.HasSuffix(dir, ".chroot") {
			continue
		}
		_, isNative := closure[dir]
		err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if !bytes.HasPrefix(data, []byte("\x7fELF")) && !bytes.HasPrefix(data, []byte("!<arch>\n")) {
				return nil
			}
			report, err := thereAndBack(t, m, data)
			var no *relocate.RefusedError
			switch {
			case errors.As(err, &no):
				refused[string(no.Findings[0].Hazard)]++
				t.Logf("%s: %v", file, err)
				if isNative {
					t.Errorf("%s: the native nix cannot be relocated: %v", file, err)
				}
			case err != nil:
				t.Errorf("%s: %v", file, err)
			default:
				same++
				if report.Counts[relocate.Rewritten]+report.Counts[relocate.Repaired] > 0 {
					changed++
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("measured: %d files of machine code are the same after there and back, of which %d had paths in them; refused: %v", same, changed, refused)
	if changed < 10 {
		t.Errorf("only %d files had anything to be replaced", changed)
	}
}

// thereAndBack relocates a file, and the result back.
func thereAndBack(t *testing.T, m *relocate.Map, data []byte) (*relocate.Report, error) {
	t.Helper()
	var source, there, back bytes.Buffer
	w := nar.NewWriter(&source)
	err := w.WriteHeader(&nar.Header{Mode: 0o444, Size: int64(len(data))})
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	report, err := relocate.Relocate(&there, bytes.NewReader(source.Bytes()), relocate.Options{Map: m})
	if err != nil {
		return report, err
	}
	_, err = relocate.Relocate(&back, bytes.NewReader(there.Bytes()), relocate.Options{Map: m.Inverse()})
	if err == nil && !slices.Equal(back.Bytes(), source.Bytes()) {
		err = errors.New("there and back it is another file")
	}
	return report, err
}
