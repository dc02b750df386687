package deb_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"bootstrap/internal/deb"
	"bootstrap/internal/debtest"
	"bootstrap/internal/fault"
)

// checks holds packages, each of some entries, against each other.
func checks(t *testing.T, packages ...[]byte) error {
	t.Helper()
	var list []deb.Package
	for i, data := range packages {
		list = append(list, deb.Package{Name: fmt.Sprint(i), Path: newWorld(t).write(data)})
	}
	var done atomic.Int64
	err := deb.Check(t.Context(), list, deb.CheckOptions{Parallel: 2, Done: func() { done.Add(1) }})
	if err == nil && int(done.Load()) != len(packages) {
		t.Errorf("%d of %d packages are done", done.Load(), len(packages))
	}
	return err
}

func TestCheckAccepts(t *testing.T) {
	err := checks(
		t,
		build(
			debtest.Dir("./"), debtest.Dir("./usr/"), debtest.Reg("./usr/a", "some text"),
			debtest.Hard("./usr/b", "./usr/a"), debtest.Lnk("./usr/c", "/etc/alternatives/c"), debtest.Lnk("./usr/up", "../.."),
			debtest.Lnk("./lib", "usr/lib"), debtest.Reg("./usr/"+strings.Repeat("n", 90), strings.Repeat("x", 2000)),
		),
		build(debtest.Dir("./lib/"), debtest.Reg("./lib/d", ""), debtest.Lnk("./usr/c", "b")),
	)
	if err != nil {
		t.Error(err)
	}
}

func TestCheckRefuses(t *testing.T) {
	reg, out := debtest.Reg, debtest.Lnk("./s", "/run")
	long := reg("./"+strings.Repeat("d/", 60)+"x", "") // needs the second part of a name
	pax := reg("./a", "")
	pax.PAX = map[string]string{"TEST.path": "./b"}
	for _, tt := range []struct {
		name   string
		first  []debtest.Entry
		second []debtest.Entry
		reason string
	}{
		{"dot dot", []debtest.Entry{reg("./a/../../evil", "")}, nil, `".."`},
		{"absolute", []debtest.Entry{reg("/evil", "")}, nil, "absolute"},
		{"device", []debtest.Entry{debtest.Dev("./null")}, nil, "device"},
		{"named pipe", []debtest.Entry{debtest.Fifo("./pipe")}, nil, "pipe"},
		{"contiguous file", []debtest.Entry{{Type: '7', Name: "./cont"}}, nil, "unsupported type"},
		{"root as a symlink", []debtest.Entry{debtest.Lnk("./", "/run")}, nil, "not a directory"},
		{"symlink to nothing", []debtest.Entry{debtest.Lnk("./s", "")}, nil, "symlink to"},
		{"hard link to an absolute name", []debtest.Entry{debtest.Hard("./a", "/etc/passwd")}, nil, "hard link"},
		{"hard link out", []debtest.Entry{debtest.Hard("./a", "../x")}, nil, "hard link"},
		{"hard link to what is not there", []debtest.Entry{debtest.Hard("./a", "./b")}, nil, "hard link"},
		{"hard link to a symlink", []debtest.Entry{out, debtest.Hard("./a", "./s")}, nil, "hard link"},
		{"file through a symlink", []debtest.Entry{out, reg("./s/evil", "")}, nil, "symlink"},
		{"file over a symlink", []debtest.Entry{out, reg("./s", "")}, nil, "symlink"},
		{"directory over a symlink", []debtest.Entry{out, debtest.Dir("./s/")}, nil, "symlink"},
		{"through a symlink of another package", []debtest.Entry{out}, []debtest.Entry{reg("./s/evil", "")}, "symlink"},
		{"before a symlink of another package", []debtest.Entry{debtest.Dir("./s/evil/")}, []debtest.Entry{out}, "symlink"},
		{"through a symlink that stays inside", []debtest.Entry{debtest.Lnk("./s", "t"), debtest.Lnk("./s/x", "y")}, nil, "symlink"},
		{"through a merge that leads out", []debtest.Entry{debtest.Lnk("./lib", "/usr/lib"), reg("./lib/x", "")}, nil, "symlink"},
		{"through a merge to a symlink", []debtest.Entry{debtest.Lnk("./usr/lib", "/run"), debtest.Lnk("./lib", "usr/lib"), reg("./lib/x", "")}, nil, "symlink"},
		{"name in two parts", []debtest.Entry{long}, nil, "second part|PAX"},
		{"name in a record", []debtest.Entry{pax}, nil, "PAX"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			packages := [][]byte{build(tt.first...)}
			if tt.second != nil {
				packages = append(packages, build(tt.second...))
			}
			refused(t, checks(t, packages...), strings.Split(tt.reason, "|")...)
		})
	}
}

// refused tests that err is the right refusal, for one of the reasons.
func refused(t *testing.T, err error, reasons ...string) {
	t.Helper()
	var entry *deb.EntryError
	if !errors.As(err, &entry) || fault.KindOf(err) != fault.Verify || fault.HintOf(err) == "" || !strings.HasPrefix(err.Error(), `package "`) {
		t.Fatalf("got %v, hint %q", err, fault.HintOf(err))
	}
	for _, reason := range reasons {
		if strings.Contains(entry.Reason, reason) {
			return
		}
	}
	t.Errorf("got %v, want one of %q", err, reasons)
}

// TestCheckRefusesHeaders: what two readers of tar take in two ways.
func TestCheckRefusesHeaders(t *testing.T) {
	entries := []debtest.Entry{debtest.Reg("./f", strings.Repeat("x", 600)), debtest.Dir("./d")}
	for _, tt := range []struct {
		name   string
		entry  int
		change func(header []byte)
		reason string
	}{
		{"second part of the name", 0, func(h []byte) { copy(h[257:], "ustar  \x00"); copy(h[345:], "../../evil") }, "second part"},
		{"no name", 0, func(h []byte) { h[0] = 0 }, "no name"},
		{"a form before all others", 0, func(h []byte) { copy(h[257:], "\x00\x00\x00\x00\x00\x00\x00\x00") }, "unknown form"},
		{"size in base 256", 0, func(h []byte) { copy(h[124:], "\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x58") }, "size"},
		{"file with a directory's name", 0, func(h []byte) { copy(h, "./f/") }, "name of a directory"},
		{"directory with content", 1, func(h []byte) { copy(h[124:], "00000001000") }, "content"},
		{"of no type", 0, func(h []byte) { h[156] = 0 }, "unknown form"},
		{"of all entries", 0, func(h []byte) { h[156] = 'g' }, "PAX"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tarball := debtest.Tar(debtest.None, entries)
			at := tt.entry * 3 * 512 // behind a header and two blocks
			header := tarball[at : at+512]
			tt.change(header)
			sum := 8 * int(' ')
			for i, b := range header {
				if i < 148 || i >= 156 {
					sum += int(b)
				}
			}
			copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
			err := checks(t, debtest.Ar(
				debtest.Member{Name: "debian-binary", Data: []byte("2.0\n")},
				debtest.Member{Name: "control.tar", Data: debtest.Tar(debtest.None, nil)},
				debtest.Member{Name: "data.tar", Data: tarball},
			))
			refused(t, err, tt.reason)
		})
	}
}

func TestCheckRefusesASecondTarball(t *testing.T) {
	data := append(build(debtest.Reg("./a", "")), debtest.Ar(debtest.Member{
		Name: "data.tar.gz", Data: debtest.Tar(debtest.Gzip, []debtest.Entry{debtest.Reg("../evil", "")}),
	})[len("!<arch>\n"):]...)
	err := checks(t, data)
	var format *deb.FormatError
	if !errors.As(err, &format) || !strings.Contains(err.Error(), "data.tar.gz") || fault.KindOf(err) != fault.Verify {
		t.Errorf("got %v", err)
	}
}

func TestCheckReadsToTheEnd(t *testing.T) {
	data := build(debtest.Reg("./a", "text"))
	if err := checks(t, data[:len(data)-40]); fault.KindOf(err) != fault.Verify {
		t.Errorf("cut: %v", err)
	}
	if err := checks(t, bytes.Repeat([]byte("x"), 200)); fault.KindOf(err) != fault.Verify {
		t.Errorf("no package at all: %v", err)
	}
}
