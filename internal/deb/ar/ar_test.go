package ar_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/deb/ar"
	"bootstrap/internal/debtest"
)

// list returns the members of data and the error that ended them.
func list(data []byte) ([]ar.Member, error) {
	var got []ar.Member
	for m, err := range ar.Members(bytes.NewReader(data), int64(len(data))) {
		if err != nil {
			return got, err
		}
		got = append(got, m)
	}
	return got, nil
}

func header(name, size, end string) []byte {
	h := bytes.Repeat([]byte(" "), 60)
	copy(h, name)
	copy(h[48:], size)
	copy(h[58:], end)
	return append([]byte("!<arch>\n"), h...)
}

func TestMembersAreListed(t *testing.T) {
	data := debtest.Ar(
		debtest.Member{Name: "debian-binary", Data: []byte("2.0\n")},
		debtest.Member{Name: "odd/", Data: []byte("abc")},
		debtest.Member{Name: "empty"},
		debtest.Member{Name: "last", Data: []byte("x")},
	)
	want := []ar.Member{
		{Name: "debian-binary", Offset: 68, Size: 4},
		{Name: "odd", Offset: 132, Size: 3},
		{Name: "empty", Offset: 196, Size: 0},
		{Name: "last", Offset: 256, Size: 1},
	}
	got, err := list(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

func TestStopsWhenTheCallerDoes(t *testing.T) {
	data := debtest.Ar(debtest.Member{Name: "a"}, debtest.Member{Name: "b"})
	n := 0
	for range ar.Members(bytes.NewReader(data), int64(len(data))) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("got %d members after a break, want 1", n)
	}
}

func TestBadArchiveIsRefused(t *testing.T) {
	tests := []struct {
		name string
		data []byte
	}{
		{"empty file", nil},
		{"other magic", []byte("!<thin>\n")},
		{"short magic", []byte("!<arc")},
		{"bad end of header", header("a", "0", "xx")},
		{"no name", header("", "0", "`\n")},
		{"GNU symbol table", header("/", "0", "`\n")},
		{"GNU name table", header("//", "0", "`\n")},
		{"BSD long name", header("#1/20", "0", "`\n")},
		{"NUL in name", header("a\x00b", "0", "`\n")},
		{"no size", header("a", "", "`\n")},
		{"negative size", header("a", "-1", "`\n")},
		{"signed size", header("a", "+0", "`\n")},
		{"hexadecimal size", header("a", "0x0", "`\n")},
		{"size with a space in it", header("a", "0 0", "`\n")},
		{"size beyond the end", header("a", "1", "`\n")},
		{"huge size", header("a", "9999999999", "`\n")},
		{"no padding", append(header("a", "1", "`\n"), 'x')},
		{"wrong padding", append(header("a", "1", "`\n"), 'x', 'x')},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := list(tt.data)
			var format *ar.FormatError
			if !errors.As(err, &format) {
				t.Errorf("got error %v, want a FormatError", err)
			}
		})
	}
}

type brokenDisk struct{ io.ReaderAt }

var errDisk = errors.New("disk on fire")

func (b brokenDisk) ReadAt(p []byte, off int64) (int, error) {
	if off > 0 {
		return 0, errDisk
	}
	return b.ReaderAt.ReadAt(p, off)
}

func TestReadErrorIsPassedOn(t *testing.T) {
	data := debtest.Ar(debtest.Member{Name: "a"})
	for _, err := range ar.Members(brokenDisk{bytes.NewReader(data)}, int64(len(data))) {
		if !errors.Is(err, errDisk) {
			t.Errorf("got error %v, want %v", err, errDisk)
		}
	}
}

func TestFileShorterThanItsSizeIsRefused(t *testing.T) {
	data := debtest.Ar(debtest.Member{Name: "a"})
	for _, err := range ar.Members(bytes.NewReader(data), int64(len(data))+100) {
		var format *ar.FormatError
		if err != nil && !errors.As(err, &format) {
			t.Errorf("got error %v, want a FormatError", err)
		}
	}
}

func FuzzMembers(f *testing.F) {
	f.Add(debtest.Deb("hello", "1", []debtest.Entry{debtest.Reg("./usr/bin/hello", "x")}, nil))
	f.Add(debtest.Ar(debtest.Member{Name: "odd/", Data: []byte("abc")}, debtest.Member{Name: "empty"}))
	f.Add(header("a", "9999999999", "`\n"))
	f.Add(header("#1/20", "20", "`\n"))
	f.Add(header("a", "-1", "`\n"))
	f.Add([]byte("!<arch>\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		next := int64(8)
		for m, err := range ar.Members(bytes.NewReader(data), int64(len(data))) {
			if err != nil {
				return
			}
			if m.Offset != next+60 || m.Size < 0 || m.Offset+m.Size > int64(len(data)) {
				t.Fatalf("member %+v of %d bytes, the one before ends at %d", m, len(data), next)
			}
			if m.Name == "" {
				t.Fatal("a member without a name")
			}
			next = m.Offset + m.Size + m.Size%2
		}
		if next != int64(len(data)) {
			t.Fatalf("no error, but members end at %d of %d bytes", next, len(data))
		}
	})
}
