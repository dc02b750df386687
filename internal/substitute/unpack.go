package substitute

import (
	"compress/bzip2"
	"compress/gzip"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
	"zombiezen.com/go/nix"
)

// maxWindow is how much memory a compressed file may ask for: what xz -9 and zstd --long do.
const maxWindow = 128 << 20

// unpack reads a file that is compressed in one of the ways in which caches are.
func unpack(how nix.CompressionType, r io.Reader) (io.ReadCloser, error) {
	switch how {
	case nix.NoCompression:
		return io.NopCloser(r), nil
	case nix.XZ:
		z, err := xz.NewReader(r, maxWindow)
		return io.NopCloser(z), err
	case nix.Zstandard:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case nix.Gzip:
		return gzip.NewReader(r)
	case nix.Bzip2, "":
		return io.NopCloser(bzip2.NewReader(r)), nil
	}
	return nil, proof("it is compressed as %s, which is not read", how)
}
