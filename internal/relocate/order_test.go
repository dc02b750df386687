package relocate_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/relocate"
)

// TestOrder: entries that are renamed are where their new names belong. The reader of the tests refuses any other order.
func TestOrder(t *testing.T) {
	// fromA moves behind all, fromB as well; "1" and "t" stay.
	files := tree{
		"d/" + fromA: "a " + fromB, "d/" + fromB + "/deep/" + fromA: "x", "d/" + fromB + "/zero": "", "d/1": "1", "d/t": "-> " + fromA,
		fromA + "/x": "y", "b": "z",
	}
	want := tree{
		"d/" + toA: "a " + toB, "d/" + toB + "/deep/" + toA: "x", "d/" + toB + "/zero": "", "d/1": "1", "d/t": "-> " + toA,
		toA + "/x": "y", "b": "z",
	}
	got, _ := must(t, relocate.Options{}, files)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// The same as a stream: everything moves back, so nothing has to be known beforehand.
	var out bytes.Buffer
	if _, err := relocate.Relocate(&out, stream{bytes.NewReader(pack(t, files)), 100}, relocate.Options{Map: mapping(t)}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, unpack(t, out.Bytes())); diff != "" {
		t.Error(diff)
	}
}

// TestOrderForward: what moves before entries that were written needs a source that can be read twice.
func TestOrderForward(t *testing.T) {
	inverse := mapping(t).Inverse()
	files := tree{toA: "1", "b": "2", "c": "3"}
	var out bytes.Buffer
	_, err := relocate.Relocate(&out, stream{bytes.NewReader(pack(t, files)), 100}, relocate.Options{Map: inverse})
	var order *relocate.OrderError
	if !errors.As(err, &order) || order.File != toA {
		t.Errorf("a stream: %v", err)
	}
	got, _ := must(t, relocate.Options{Map: inverse}, files)
	if diff := cmp.Diff(tree{fromA: "1", "b": "2", "c": "3"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestSpill: entries too large for memory go to a file, or are refused.
func TestSpill(t *testing.T) {
	large := strings.Repeat("0123456789abcde\n", 400_000) // 6.4 MB
	files := tree{fromA: large + fromB, fromB: large, "b": "2"}
	want := tree{toA: large + toB, toB: large, "b": "2"}
	_, _, err := run(t, relocate.Options{}, files)
	if err == nil || !strings.Contains(err.Error(), "no spill") {
		t.Errorf("without a spill: %v", err)
	}
	dir := t.TempDir()
	got, _ := must(t, relocate.Options{Spill: relocate.TempSpill(dir)}, files)
	if len(got) != 3 || got[toA] != want[toA] || got[toB] != want[toB] || got["b"] != "2" {
		t.Error("another result with a spill")
	}
	_, _, err = run(t, relocate.Options{Spill: func() (relocate.Spill, error) { return nil, io.ErrNoProgress }}, files)
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a spill that fails: %v", err)
	}
}

// TestMalformed: what is not a NAR is an error, and nothing is taken for another thing.
func TestMalformed(t *testing.T) {
	good := pack(t, tree{"a": "1234", "b": "-> x", "c/d": "5"})
	m := mapping(t)
	relocated := func(data []byte) error {
		_, err := relocate.Relocate(io.Discard, bytes.NewReader(data), relocate.Options{Map: m})
		_, streamed := relocate.Relocate(io.Discard, stream{bytes.NewReader(data), 9}, relocate.Options{Map: m})
		if (err == nil) != (streamed == nil) {
			t.Errorf("seeking %v, streaming %v", err, streamed)
		}
		return err
	}
	if err := relocated(good); err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if err := relocated(good[:n]); err == nil {
			t.Fatalf("cut at %d: taken", n)
		}
	}
	for name, data := range map[string][]byte{
		"something after it": append(bytes.Clone(good), 0),
		"another magic":      bytes.Replace(good, []byte("archive-1"), []byte("archive-2"), 1),
		"another type":       bytes.Replace(good, []byte("symlink"), []byte("hardlink")[:7], 1),
		"not in order":       bytes.Replace(good, []byte("name\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00a"), []byte("name\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00b"), 1),
		"a name with a slash": bytes.Replace(good, []byte("name\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00a"),
			[]byte("name\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00/"), 1),
		"padding": bytes.Replace(good, []byte("1234\x00\x00\x00\x00"), []byte("1234\x00\x00\x00\x01"), 1),
	} {
		if bytes.Equal(data, good) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if err := relocated(data); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestPipe: a file that cannot seek is read as a stream.
func TestPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	data := pack(t, tree{fromA: "see " + fromB})
	go func() {
		_, _ = w.Write(data)
		_ = w.Close()
	}()
	var out bytes.Buffer
	if _, err := relocate.Relocate(&out, r, relocate.Options{Map: mapping(t)}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tree{toA: "see " + toB}, unpack(t, out.Bytes())); diff != "" {
		t.Error(diff)
	}
}
