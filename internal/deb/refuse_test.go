package deb_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/deb"
	"bootstrap/internal/deb/ar"
	"bootstrap/internal/debtest"
	"bootstrap/internal/fault"
)

// checkRefused tests that err is an EntryError about name inside a Verify fault with a hint.
func checkRefused(t *testing.T, err error, name string) {
	t.Helper()
	var entry *deb.EntryError
	if !errors.As(err, &entry) {
		t.Fatalf("got error %v, want an EntryError", err)
	}
	if entry.Name != name {
		t.Errorf("got an error about %q, want %q: %v", entry.Name, name, err)
	}
	if fault.KindOf(err) != fault.Verify || fault.HintOf(err) == "" {
		t.Errorf("got kind %v with hint %q: %v", fault.KindOf(err), fault.HintOf(err), err)
	}
}

func TestExtractRefusesEntries(t *testing.T) {
	pax := debtest.Reg("./a", "x")
	pax.PAX = map[string]string{"XNU.sparse.major": "1"}
	cont := debtest.Entry{Type: '7', Name: "./cont", Mode: 0o644}
	tests := []struct {
		name    string
		entries []debtest.Entry
		bad     string // the name of the entry that is refused
	}{
		{"dot dot", []debtest.Entry{debtest.Reg("../evil", "")}, "../evil"},
		{"dot dot after a dot", []debtest.Entry{debtest.Reg("./../evil", "")}, "./../evil"},
		{"dot dot in the middle", []debtest.Entry{debtest.Reg("./a/../../evil", "")}, "./a/../../evil"},
		{"dot dot that stays inside", []debtest.Entry{debtest.Reg("./a/../b", "")}, "./a/../b"},
		{"dot dot at the end", []debtest.Entry{debtest.Dir("./a/..")}, "./a/.."},
		{"dot dot directory", []debtest.Entry{debtest.Dir("../evil/")}, "../evil/"},
		{"dot dot symlink", []debtest.Entry{debtest.Lnk("../evil", "x")}, "../evil"},
		{"absolute", []debtest.Entry{debtest.Reg("/evil", "")}, "/evil"},
		{"absolute directory", []debtest.Entry{debtest.Dir("//evil/")}, "//evil/"},
		{"empty name", []debtest.Entry{debtest.Reg("", "")}, ""},
		{"root as a file", []debtest.Entry{debtest.Reg("./.", "x")}, "./."},
		{"root as a symlink", []debtest.Entry{debtest.Lnk("./", "/")}, "./"},
		{"over-long element", []debtest.Entry{debtest.Reg("./"+strings.Repeat("n", 256), "")}, "./" + strings.Repeat("n", 256)},
		{"over-long name", []debtest.Entry{debtest.Dir(strings.Repeat("d/", 2500))}, strings.Repeat("d/", 2500)},
		{"device", []debtest.Entry{debtest.Dev("./dev/null")}, "./dev/null"},
		{"block device", []debtest.Entry{{Type: '4', Name: "./dev/sda"}}, "./dev/sda"},
		{"named pipe", []debtest.Entry{debtest.Fifo("./pipe")}, "./pipe"},
		{"contiguous file", []debtest.Entry{cont}, "./cont"},
		{"hard link to dot dot", []debtest.Entry{debtest.Hard("./a", "../outside")}, "./a"},
		{"hard link to an absolute name", []debtest.Entry{debtest.Hard("./a", "/etc/passwd")}, "./a"},
		{"hard link to nothing", []debtest.Entry{debtest.Hard("./a", "")}, "./a"},
		{"hard link to what is not there", []debtest.Entry{debtest.Hard("./a", "./b")}, "./a"},
		{"hard link to what comes later", []debtest.Entry{debtest.Hard("./a", "./b"), debtest.Reg("./b", "")}, "./a"},
		{"hard link to itself", []debtest.Entry{debtest.Reg("./a", ""), debtest.Hard("./a", "./a")}, "./a"},
		{"hard link to a directory", []debtest.Entry{debtest.Dir("./d/"), debtest.Hard("./a", "./d")}, "./a"},
		{"hard link to another package's file", []debtest.Entry{debtest.Hard("./a", "./there")}, "./a"},
		{"hard link to a file replaced by a symlink", []debtest.Entry{
			debtest.Reg("./f", ""), debtest.Lnk("./f", "../outside"), debtest.Hard("./a", "./f"),
		}, "./a"},
		{"file through an absolute symlink", []debtest.Entry{debtest.Lnk("./s", "/run"), debtest.Reg("./s/evil", "x")}, "./s/evil"},
		{"file through a symlink out", []debtest.Entry{debtest.Lnk("./s", ".."), debtest.Reg("./s/evil", "x")}, "./s/evil"},
		{"file through two symlinks", []debtest.Entry{
			debtest.Dir("./a/"), debtest.Lnk("./a/s", ".."), debtest.Lnk("./t", "a/s/.."), debtest.Reg("./t/evil", "x"),
		}, "./t/evil"},
		{"directory through a symlink out", []debtest.Entry{debtest.Lnk("./s", "../.."), debtest.Dir("./s/evil/")}, "./s/evil/"},
		{"symlink through a symlink out", []debtest.Entry{debtest.Lnk("./s", ".."), debtest.Lnk("./s/evil", "x")}, "./s/evil"},
		{"hard link through a symlink out", []debtest.Entry{
			debtest.Reg("./f", "x"), debtest.Lnk("./s", ".."), debtest.Hard("./s/evil", "./f"),
		}, "./s/evil"},
		{"directory over a dangling symlink", []debtest.Entry{debtest.Lnk("./s", "nowhere"), debtest.Dir("./s/")}, "./s/"},
		{"symlink loop", []debtest.Entry{debtest.Lnk("./s", "s"), debtest.Reg("./s/x", "")}, "./s/x"},
		{"file below a file", []debtest.Entry{debtest.Reg("./f", ""), debtest.Reg("./f/x", "")}, "f"},
		{"file over a directory", []debtest.Entry{debtest.Dir("./d/"), debtest.Reg("./d", "")}, "d"},
		{"symlink over a directory", []debtest.Entry{debtest.Dir("./d/"), debtest.Lnk("./d", "/")}, "d"},
		{"symlink to nothing", []debtest.Entry{debtest.Lnk("./s", "")}, "./s"},
		{"symlink to a very long name", []debtest.Entry{debtest.Lnk("./s", strings.Repeat("t", 5000))}, "./s"},
		{"sparse file", []debtest.Entry{pax}, "./a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			if err := os.WriteFile(filepath.Join(w.dir, "root", "there"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(w.dir, "outside"), []byte("secret"), 0o644); err != nil {
				t.Fatal(err)
			}
			// archive/tar writes no sparse headers; the record is not part of a checksum.
			data := bytes.ReplaceAll(build(tt.entries...), []byte("XNU.sparse"), []byte("GNU.sparse"))
			_, err := w.extract(data, deb.ExtractOptions{})
			checkRefused(t, err, tt.bad)
			var names []string
			list, err := os.ReadDir(w.dir)
			for _, e := range list {
				names = append(names, e.Name())
			}
			if diff := cmp.Diff([]string{"outside", "root", "x.deb"}, names); diff != "" || err != nil {
				t.Errorf("files around the root: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestExtractRefusesSymlinksOutOfDir(t *testing.T) {
	w := newWorld(t)
	_, err := w.extract(build(debtest.Lnk("./s", ".."), debtest.Reg("./s/evil", "x")), deb.ExtractOptions{Dir: "sub"})
	checkRefused(t, err, "./s/evil")
	if diff := cmp.Diff(map[string]string{"sub": "dir 0755", "sub/s": "link .."}, w.tree()); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

func TestExtractRefusesWhatCannotBeMerged(t *testing.T) {
	w := newWorld(t)
	_, err := w.extract(build(debtest.Lnk("./lib", "opt/lib")), deb.ExtractOptions{UsrMerge: true})
	checkRefused(t, err, "./lib")
}

func TestExtractRefusesHardLinksToWhatWasFilteredOut(t *testing.T) {
	w := newWorld(t)
	_, err := w.extract(build(debtest.Reg("./a", "x"), debtest.Hard("./b", "./a")),
		deb.ExtractOptions{Filter: func(name string) bool { return name != "a" }})
	checkRefused(t, err, "./b")
}

func TestReadMemberRefusesBadNames(t *testing.T) {
	w := newWorld(t)
	_, err := deb.ReadMember(t.Context(), w.write(build(debtest.Reg("../a", "x"))), "a")
	checkRefused(t, err, "../a")
}

func TestExtractCapsBytes(t *testing.T) {
	zeros := strings.Repeat("\x00", 200_000)
	sparse := debtest.Reg("./a", "x")
	tests := []struct {
		name    string
		entries []debtest.Entry
		filter  func(string) bool
	}{
		{"one file", []debtest.Entry{debtest.Reg("./a", zeros)}, nil},
		{"many files", []debtest.Entry{debtest.Reg("./a", zeros[:60_000]), debtest.Reg("./b", zeros[:60_000])}, nil},
		{"files left out", []debtest.Entry{debtest.Reg("./a", zeros)}, func(string) bool { return false }},
		{"many empty files", empties(300), nil},
	}
	for _, tt := range tests {
		for _, c := range []debtest.Compression{debtest.XZ, debtest.Zstd, debtest.Gzip, debtest.None} {
			t.Run(tt.name+string(c), func(t *testing.T) {
				w := newWorld(t)
				stats, err := w.extract(debtest.Deb("x", "1", tt.entries, debtest.As(c)),
					deb.ExtractOptions{MaxBytes: 100_000, Filter: tt.filter})
				var limit *deb.LimitError
				if !errors.As(err, &limit) || limit.Max != 100_000 || fault.KindOf(err) != fault.Verify {
					t.Errorf("got error %v, want a LimitError of 100000", err)
				}
				if stats.Bytes > 100_000 {
					t.Errorf("%d bytes were written past the limit", stats.Bytes)
				}
			})
		}
	}
	w := newWorld(t)
	if _, err := w.extract(build(sparse), deb.ExtractOptions{MaxBytes: 2048}); err != nil {
		t.Errorf("a tarball of just the limit is refused: %v", err)
	}
}

func empties(n int) []debtest.Entry {
	entries := make([]debtest.Entry, n)
	for i := range entries {
		entries[i] = debtest.Reg("./"+strings.Repeat("e", 1+i%200), "")
	}
	return entries
}

func sample() []debtest.Entry {
	return []debtest.Entry{
		debtest.Dir("./"), debtest.Reg("./a", "hello"), debtest.Lnk("./l", "a"),
		debtest.Reg("./b", strings.Repeat("\x00", 3000)),
	}
}

var compressions = []debtest.Compression{debtest.XZ, debtest.Zstd, debtest.Gzip, debtest.None}

func TestExtractRefusesTruncatedPackages(t *testing.T) {
	for _, c := range compressions {
		data := debtest.Deb("x", "1", sample(), debtest.As(c))
		w := newWorld(t)
		for n := 0; n < len(data); n += 1 + n/30 {
			_, err := w.extract(data[:n], deb.ExtractOptions{})
			var format *deb.FormatError
			var arFormat *ar.FormatError
			if !errors.As(err, &format) && !errors.As(err, &arFormat) || fault.KindOf(err) != fault.Verify {
				// A cut between two members leaves a whole ar archive; it lacks a member then.
				t.Fatalf("data.tar%s: cut to %d of %d bytes: got error %v", c, n, len(data), err)
			}
		}
	}
}

// An ar header that fits the truncated tarball hides the cut from everything but the decompressor and tar.
func TestExtractRefusesTruncatedTarballs(t *testing.T) {
	for _, c := range compressions {
		tarball := debtest.Tar(c, sample())
		w := newWorld(t)
		for n := 0; n < len(tarball); n += 1 + n/30 {
			if c == debtest.None && n > len(tarball)-512 {
				break // part of the padding: nothing is lost
			}
			if _, err := w.extract(wrapTar(c, tarball[:n]), deb.ExtractOptions{}); fault.KindOf(err) != fault.Verify {
				t.Fatalf("data.tar%s: cut to %d of %d bytes: got error %v", c, n, len(tarball), err)
			}
		}
	}
}

func TestExtractRefusesTarballsWithoutEnd(t *testing.T) {
	whole := debtest.Tar(debtest.None, sample())
	for _, c := range compressions {
		w := newWorld(t)
		for _, blocks := range []int{1, 2} {
			cut := debtest.Compress(c, whole[:len(whole)-512*blocks])
			if _, err := w.extract(wrapTar(c, cut), deb.ExtractOptions{}); fault.KindOf(err) != fault.Verify {
				t.Errorf("data.tar%s without its last %d blocks: got error %v", c, blocks, err)
			}
		}
		padded := debtest.Compress(c, append(bytes.Clone(whole), make([]byte, 10*512)...))
		if _, err := w.extract(wrapTar(c, padded), deb.ExtractOptions{}); err != nil {
			t.Errorf("data.tar%s with padding: %v", c, err)
		}
		garbage := debtest.Compress(c, append(bytes.Clone(whole), "more"...))
		if _, err := w.extract(wrapTar(c, garbage), deb.ExtractOptions{}); fault.KindOf(err) != fault.Verify {
			t.Errorf("data.tar%s with more after its end: got error %v", c, err)
		}
		after := append(debtest.Compress(c, whole), "not compressed"...)
		if _, err := w.extract(wrapTar(c, after), deb.ExtractOptions{}); fault.KindOf(err) != fault.Verify {
			t.Errorf("data.tar%s with bytes after the compressed ones: got error %v", c, err)
		}
	}
}

func TestExtractNeverTakesFlippedBitsForContent(t *testing.T) {
	for _, c := range []debtest.Compression{debtest.XZ, debtest.Gzip} {
		tarball := debtest.Tar(c, sample())
		w := newWorld(t)
		if _, err := w.extract(wrapTar(c, tarball), deb.ExtractOptions{}); err != nil {
			t.Fatal(err)
		}
		want := w.tree()
		for i := 0; i < len(tarball); i += 3 {
			bad := bytes.Clone(tarball)
			bad[i] ^= 0x10
			// A few bits mean nothing to a decompressor, such as the padding of a gzip block.
			if _, err := w.extract(wrapTar(c, bad), deb.ExtractOptions{}); err != nil {
				continue
			}
			if diff := cmp.Diff(want, w.tree()); diff != "" {
				t.Errorf("data.tar%s with a flipped bit at %d (-want +got):\n%s", c, i, diff)
			}
		}
	}
}

// wrapTar returns a .deb around a tarball as it is.
func wrapTar(c debtest.Compression, tarball []byte) []byte {
	return debtest.Ar(
		debtest.Member{Name: "debian-binary", Data: []byte("2.0\n")},
		debtest.Member{Name: "control.tar"},
		debtest.Member{Name: "data.tar" + string(c), Data: tarball},
	)
}

func TestExtractChecksMembers(t *testing.T) {
	version := debtest.Member{Name: "debian-binary", Data: []byte("2.0\n")}
	control := debtest.Member{Name: "control.tar.xz"}
	data := debtest.Member{Name: "data.tar", Data: debtest.Tar(debtest.None, nil)}
	tests := []struct {
		name    string
		members []debtest.Member
		ok      bool
	}{
		{"usual", []debtest.Member{version, control, data}, true},
		{"later minor version", []debtest.Member{{Name: "debian-binary", Data: []byte("2.7\nmore\n")}, control, data}, true},
		{"extra members", []debtest.Member{version, {Name: "_gpgorigin"}, control, {Name: "_x"}, data, {Name: "later"}}, true},
		{"nothing", nil, false},
		{"no data", []debtest.Member{version, control}, false},
		{"no control", []debtest.Member{version, data}, false},
		{"wrong order", []debtest.Member{version, data, control}, false},
		{"no version", []debtest.Member{control, data}, false},
		{"underscore first", []debtest.Member{{Name: "_x"}, version, control, data}, false},
		{"unknown member", []debtest.Member{version, {Name: "x"}, control, data}, false},
		{"version 3", []debtest.Member{{Name: "debian-binary", Data: []byte("3.0\n")}, control, data}, false},
		{"version without newline", []debtest.Member{{Name: "debian-binary", Data: []byte("2.0")}, control, data}, false},
		{"suffixed version", []debtest.Member{{Name: "debian-binary.x", Data: []byte("2.0\n")}, control, data}, false},
		{"other name", []debtest.Member{version, control, {Name: "data.tarx", Data: data.Data}}, false},
		{"unsupported compression", []debtest.Member{version, control, {Name: "data.tar.lzma", Data: data.Data}}, false},
		{"wrong compression", []debtest.Member{version, control, {Name: "data.tar.xz", Data: data.Data}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			_, err := w.extract(debtest.Ar(tt.members...), deb.ExtractOptions{})
			if tt.ok && err != nil {
				t.Errorf("got error %v", err)
			}
			if !tt.ok && (fault.KindOf(err) != fault.Verify || fault.HintOf(err) == "") {
				t.Errorf("got error %v with hint %q", err, fault.HintOf(err))
			}
		})
	}
}
