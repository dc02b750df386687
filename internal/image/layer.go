package image

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// layer is a layer of an image in a file of its own: it is compressed once, and read as often as
// the library likes.
type layer struct {
	path         string
	digest, diff v1.Hash
	size         int64
}

// Digest, DiffID, Compressed, Uncompressed, Size and MediaType are [v1.Layer].

func (l *layer) Digest() (v1.Hash, error) { return l.digest, nil }

func (l *layer) DiffID() (v1.Hash, error) { return l.diff, nil }

func (l *layer) Compressed() (io.ReadCloser, error) { return os.Open(l.path) }

func (l *layer) Size() (int64, error) { return l.size, nil }

func (l *layer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }

func (l *layer) Uncompressed() (io.ReadCloser, error) {
	f, err := os.Open(l.path)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{z, f}, nil
}

// newLayer writes a layer to a file in dir. Fill is given the tarball.
func newLayer(dir string, fill func(*tar.Writer) error) (l *layer, err error) {
	f, err := os.CreateTemp(dir, "layer-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	packed := &sum{w: bufio.NewWriterSize(f, 1<<20), h: sha256.New()}
	z := gzip.NewWriter(packed)
	plain := &sum{w: z, h: sha256.New()}
	t := tar.NewWriter(plain)
	if err := fill(t); err != nil {
		return nil, err
	}
	for _, end := range []func() error{t.Close, z.Close, packed.w.(*bufio.Writer).Flush} {
		if err := end(); err != nil {
			return nil, err
		}
	}
	return &layer{path: f.Name(), digest: packed.hash(), diff: plain.hash(), size: packed.n}, nil
}

// sum digests what goes through it.
type sum struct {
	w io.Writer
	h hash.Hash
	n int64
}

func (s *sum) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.h.Write(p[:n])
	s.n += int64(n)
	return n, err
}

func (s *sum) hash() v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(s.h.Sum(nil))}
}
