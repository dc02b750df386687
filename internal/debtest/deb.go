package debtest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Compression is the suffix of a tarball inside a .deb.
type Compression string

// The compressions deb(5) allows.
const (
	XZ   Compression = ".xz"
	Zstd Compression = ".zst"
	Gzip Compression = ".gz"
	None Compression = ""
)

// DebOptions says what else goes into a .deb; nil means the zero value.
type DebOptions struct {
	// Compression of the tarballs. Nil means XZ.
	Compression *Compression
	// Arch is the architecture. Empty means amd64.
	Arch string
	// Fields are further control fields, such as Depends.
	Fields map[string]string
}

// As returns options with the given compression.
func As(c Compression) *DebOptions { return &DebOptions{Compression: &c} }

// Deb returns a .deb with the given entries as its files.
// It panics if they cannot be written as a tarball.
func Deb(name, version string, entries []Entry, opts *DebOptions) []byte {
	if opts == nil {
		opts = &DebOptions{}
	}
	c := XZ
	if opts.Compression != nil {
		c = *opts.Compression
	}
	control := Control(name, version, opts.Arch, opts.Fields)
	return Ar(
		Member{Name: "debian-binary", Data: []byte("2.0\n")},
		Member{Name: "control.tar" + string(c), Data: Tar(c, []Entry{Dir("./"), Reg("./control", control)})},
		Member{Name: "data.tar" + string(c), Data: Tar(c, entries)},
	)
}

// Tar returns a compressed tarball of the entries. It panics if there can be none.
func Tar(c Compression, entries []Entry) []byte {
	var plain bytes.Buffer
	if err := writeTar(&plain, entries); err != nil {
		panic(fmt.Sprintf("debtest: tar: %v", err))
	}
	return Compress(c, plain.Bytes())
}

// Compress returns data compressed.
func Compress(c Compression, data []byte) []byte {
	var packed bytes.Buffer
	w, err := compressor(&packed, c)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(fmt.Sprintf("debtest: compress as %q: %v", c, err))
	}
	return packed.Bytes()
}

func compressor(w io.Writer, c Compression) (io.WriteCloser, error) {
	switch c {
	case None:
		return nopCloser{w}, nil
	case Gzip:
		return gzip.NewWriter(w), nil
	case Zstd:
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	case XZ:
		// A small dictionary: the default one takes longer to allocate than a test to run.
		return xz.WriterConfig{DictCap: 1 << 16}.NewWriter(w)
	default:
		return nil, fmt.Errorf("no such compression")
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// Member is one file of an ar archive.
type Member struct {
	Name string
	Data []byte
}

// Ar returns an ar archive as dpkg-deb writes it.
func Ar(members ...Member) []byte {
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, m := range members {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", m.Name, 0, 0, 0, 0o100644, len(m.Data))
		b.Write(m.Data)
		if len(m.Data)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// Control returns a package's control paragraph; fields may override what it has by itself.
// An empty arch means amd64.
func Control(name, version, arch string, fields map[string]string) string {
	if arch == "" {
		arch = "amd64"
	}
	return paragraph([]string{"Package", "Version", "Architecture", "Maintainer", "Description"}, map[string]string{
		"Package":      name,
		"Version":      version,
		"Architecture": arch,
		"Maintainer":   "Nobody <nobody@example.org>",
		"Description":  "test package " + name,
	}, fields)
}

// paragraph writes the base fields in order and then further ones by name.
func paragraph(order []string, base, fields map[string]string) string {
	all := maps.Clone(base)
	maps.Copy(all, fields)
	for _, k := range slices.Sorted(maps.Keys(all)) {
		if !slices.Contains(order, k) {
			order = append(order, k)
		}
	}
	var b strings.Builder
	for _, k := range order {
		sep := " "
		if strings.HasPrefix(all[k], "\n") {
			sep = ""
		}
		fmt.Fprintf(&b, "%s:%s%s\n", k, sep, all[k])
	}
	return b.String()
}
