package relocate_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"zombiezen.com/go/nix/nar"

	"bootstrap/internal/relocate"
)

const (
	fromStore = "/opt/store"
	toStore   = "/srv/store"
	// The paths of the tests: two that are mapped, and one that is not.
	fromA   = "a1b2c3d4f5g6h7i8j9k0l1m2n3p4q5r6-hello-1.0"
	toA     = "zyxwvsrqpnmlkjihgfdcba9876543210-hello-1.0"
	fromB   = "b9k2v5h8d1c4m7x0q3j6r9w2f5s8y1z4-b"
	toB     = "4z1y8s5f2w9r6j3q0x7m4c1d8h5v2k9b-b"
	foreign = "ffffffffffffffffffffffffffffffff-foreign"
)

// mapping is what most tests use.
func mapping(t testing.TB) *relocate.Map {
	t.Helper()
	m, err := relocate.NewMap(options())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func options() relocate.MapOptions {
	return relocate.MapOptions{
		Store: relocate.Dir{From: fromStore, To: toStore},
		Dirs:  []relocate.Dir{{From: "/opt/var/nix", To: "/srv/var/nix"}},
		Paths: map[string]string{fromA: toA, fromB: toB},
	}
}

// tree is a store object: files by name. An empty name is the object itself; "link" is made of targets that begin
// with "-> ", and a program of contents that begin with "#!" or an ELF header.
type tree map[string]string

// pack writes a NAR with another implementation than the one that is tested.
func pack(t testing.TB, files tree) []byte {
	t.Helper()
	var b bytes.Buffer
	w := nar.NewWriter(&b)
	names := slices.SortedFunc(maps.Keys(files), func(a, b string) int {
		return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
	})
	if len(names) == 0 {
		if err := w.WriteHeader(&nar.Header{Mode: fs.ModeDir | 0o555}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		h := &nar.Header{Path: name, Mode: 0o444, Size: int64(len(files[name]))}
		content := files[name]
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			h.Mode, h.LinkTarget, content = fs.ModeSymlink|0o777, target, ""
		} else if strings.HasPrefix(content, "#!") || strings.HasPrefix(content, "\x7fELF") {
			h.Mode = 0o555
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if content != "" {
			if _, err := io.WriteString(w, content); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unpack reads a NAR, with the other implementation as well: it refuses names that are not in order.
func unpack(t testing.TB, data []byte) tree {
	t.Helper()
	files := tree{}
	r := nar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case h.Mode.IsRegular():
			content, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			files[h.Path] = string(content)
		case h.Mode&fs.ModeSymlink != 0:
			files[h.Path] = "-> " + h.LinkTarget
		}
	}
}

// stream hides that a reader can seek, and gives it out in pieces.
type stream struct {
	r io.Reader
	n int
}

func (s stream) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), s.n)]) }

// run relocates a tree.
func run(t testing.TB, o relocate.Options, files tree) (tree, *relocate.Report, error) {
	t.Helper()
	if o.Map == nil {
		o.Map = mapping(t)
	}
	data := pack(t, files)
	var out bytes.Buffer
	report, err := relocate.Relocate(&out, bytes.NewReader(data), o)
	if err != nil {
		return nil, report, err
	}
	return unpack(t, out.Bytes()), report, nil
}

// must relocates a tree that has to be relocated, and takes it back.
func must(t testing.TB, o relocate.Options, files tree) (tree, *relocate.Report) {
	t.Helper()
	if o.Map == nil {
		o.Map = mapping(t)
	}
	data := pack(t, files)
	var out, back bytes.Buffer
	report, err := relocate.Relocate(&out, bytes.NewReader(data), o)
	if err != nil {
		t.Fatal(err)
	}
	inverse := o.Map.Inverse()
	// What was left is a target now.
	o.Map, o.References, o.TargetMayOccur = inverse, nil, true
	if _, err := relocate.Relocate(&back, bytes.NewReader(out.Bytes()), o); err != nil {
		t.Fatalf("the way back: %v", err)
	}
	if !bytes.Equal(back.Bytes(), data) {
		t.Fatalf("there and back gives another object:\n%q\n%q", data, back.Bytes())
	}
	return unpack(t, out.Bytes()), report
}

// refused says why an error refuses something, as "hazard file" each.
func refused(err error) (list []string) {
	var r *relocate.RefusedError
	if !errors.As(err, &r) {
		return []string{fmt.Sprint("not refused, but ", err)}
	}
	for _, f := range r.Findings {
		list = append(list, string(f.Hazard)+" "+f.File)
	}
	slices.Sort(list)
	return slices.Compact(list)
}
