package deb

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/mholt/archiver/v4"

	"bootstrap/internal/deb/ar"
)

// blockSize is tar's; two blocks of zeros end a tarball.
const blockSize = 512

// maxWindow is the largest zstd window to decode: dpkg-deb never makes a larger one.
const maxWindow = 128 << 20

// visitor is given each entry; body is valid until it returns.
type visitor func(h *tar.Header, body io.Reader) error

// walkOptions says how much of a package is read, and how strictly.
type walkOptions struct {
	limit int64 // bytes to decompress at most
	plain bool  // refuse headers that are not [plain]
}

// walk calls visit for each entry of the data tarball of the package at path.
//
// archiver takes a stream that merely stops for one that ends,
// so walk itself checks that the tarball has its end marker and nothing but zeros after it,
// and that decompressing it took every byte the package has of it.
func walk(ctx context.Context, path string, opts walkOptions, visit visitor) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	member, err := dataMember(f)
	if err != nil {
		return err
	}
	packed := io.NewSectionReader(f, member.Offset, member.Size)
	unpacked, err := decompress(packed, strings.TrimPrefix(member.Name, "data.tar"))
	if err != nil {
		return &FormatError{Reason: member.Name, Err: err}
	}
	defer unpacked.Close()
	s := &stream{r: bufio.NewReaderSize(unpacked, 64<<10), limit: opts.limit, stop: ctx.Err}
	if opts.plain {
		s.r = &plain{r: s.r}
	}
	if err := walkTar(ctx, s, visit); err != nil {
		if s.err != nil && !errors.Is(s.err, io.EOF) {
			return s.err // the cause; tar may have made something else of it
		}
		return err
	}
	if at, _ := packed.Seek(0, io.SeekCurrent); at != member.Size {
		return &FormatError{Reason: fmt.Sprintf("%s: %d bytes follow its end", member.Name, member.Size-at)}
	}
	return nil
}

// walkTar reads the tarball in s to its last byte.
func walkTar(ctx context.Context, s *stream, visit visitor) error {
	var (
		last    int64 // where the content of the last entry ends
		refused error // what visit returned: archiver wraps it with the raw name
	)
	err := archiver.Tar{}.Extract(ctx, s, func(_ context.Context, file archiver.FileInfo) error {
		h, ok := file.Header.(*tar.Header)
		if !ok {
			return &FormatError{Reason: fmt.Sprintf("archiver gave a %T for a tar header", file.Header)}
		}
		last = s.n
		if h.Typeflag == tar.TypeReg {
			last += (h.Size + blockSize - 1) / blockSize * blockSize
		}
		body, err := file.Open()
		if err == nil {
			err = visit(h, body)
		}
		refused = err
		return err
	})
	switch {
	case refused != nil:
		return refused
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return &FormatError{Reason: "data tarball", Err: err}
	case s.n-last < 2*blockSize:
		return &FormatError{Reason: "data tarball: it ends without an end marker"}
	}
	return s.drain()
}

// dataMember checks that f is laid out as deb(5) says and returns its data tarball.
// Members it does not name are allowed before the end if their name begins with "_",
// and after the data tarball.
func dataMember(f *os.File) (ar.Member, error) {
	info, err := f.Stat()
	if err != nil {
		return ar.Member{}, err
	}
	var data ar.Member
	want := []string{"debian-binary", "control.tar", "data.tar"}
	for m, err := range ar.Members(f, info.Size()) {
		if err != nil {
			return ar.Member{}, err
		}
		isExtra := len(want) < 3 && strings.HasPrefix(m.Name, "_")
		if len(want) == 0 || isExtra {
			continue
		}
		base, ok := strings.CutPrefix(m.Name, want[0])
		if !ok || (base != "" && (base[0] != '.' || want[0] == "debian-binary")) {
			return ar.Member{}, &FormatError{Reason: fmt.Sprintf("member %q where %s belongs", m.Name, want[0])}
		}
		if want[0] == "debian-binary" {
			if err := checkVersion(f, m); err != nil {
				return ar.Member{}, err
			}
		}
		data, want = m, want[1:]
	}
	if len(want) > 0 {
		return ar.Member{}, &FormatError{Reason: fmt.Sprintf("it has no member %s", want[0])}
	}
	return data, nil
}

// checkVersion reads the member debian-binary: "2.0" and a newline;
// a later minor number is compatible, and may have further lines.
func checkVersion(r io.ReaderAt, m ar.Member) error {
	b := make([]byte, min(m.Size, 64))
	if _, err := r.ReadAt(b, m.Offset); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	line, _, ok := strings.Cut(string(b), "\n")
	if !ok || !strings.HasPrefix(line, "2.") {
		return &FormatError{Reason: fmt.Sprintf("format version %q, not 2", line)}
	}
	return nil
}

// decompress opens the compression that a member's suffix names.
// Nothing is guessed from content.
func decompress(r io.Reader, suffix string) (io.ReadCloser, error) {
	var format archiver.Decompressor
	switch suffix {
	case "":
		return io.NopCloser(r), nil
	case ".gz":
		format = archiver.Gz{}
	case ".xz":
		// therootcompany/xz, 1.5 times as fast as ulikunitz/xz 0.5.17.
		format = archiver.Xz{}
	case ".zst":
		// One goroutine: the caller unpacks several packages at once.
		format = archiver.Zstd{DecoderOptions: []zstd.DOption{
			zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderMaxWindow(maxWindow),
			zstd.WithDecoderLowmem(true),
		}}
	default:
		return nil, fmt.Errorf("compression %q: %w", suffix, errors.ErrUnsupported)
	}
	return format.OpenReader(r)
}
