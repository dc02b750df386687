package nixbundle

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// Version is the version of the format.
const Version = 1

const (
	// frame is the magic number of the head: a skippable frame of zstd.
	frame = 0x184D2A5B
	// maxHead is how long the text of a head may be.
	maxHead = 64 << 10
	// signature is what the line of one begins with.
	signature = "Sig: "
)

// Head is what a bundle says of itself.
type Head struct {
	Version      int               `json:"bundle"`
	Architecture string            `json:"architecture"` // as Debian calls it
	NixVersion   string            `json:"nix_version"`
	Store        string            `json:"store"` // the directories that the Nix has compiled in
	State        string            `json:"state"`
	Log          string            `json:"log"`
	Conf         string            `json:"conf"`
	Nix          string            `json:"nix"`        // its store path
	Derivation   string            `json:"derivation"` // that makes it
	Tools        map[string]string `json:"tools"`      // attributes of the package set that it needs, and their store paths
	Lock         string            `json:"lock"`       // digest of the lock
	Packages     string            `json:"packages"`   // digest of the package set besides
	Paths        int               `json:"paths"`      // store paths in the bundle
	Bytes        int64             `json:"bytes"`      // of what the recipe makes, as it will be on the disk
	SHA256       string            `json:"sha256"`     // of all that follows the head
	Size         int64             `json:"size"`       // of that, in bytes
}

// Announced is a head that was read, from somebody who is not trusted yet.
type Announced struct {
	Head       Head
	Length     int64    // of the head in the file, in bytes
	Signatures []string // as they are in the file: <name>:<base64>
	text       []byte   // that was signed
}

// FormatError says that a file is no bundle, or a damaged one.
type FormatError struct{ Reason string }

func (e *FormatError) Error() string { return e.Reason }

func bad(format string, args ...any) error { return &FormatError{fmt.Sprintf(format, args...)} }

// ReadHead reads the head, and nothing that follows it.
func ReadHead(r io.Reader) (*Announced, error) {
	var start [8]byte
	if _, err := io.ReadFull(r, start[:]); err != nil {
		return nil, damaged(err)
	}
	size := binary.LittleEndian.Uint32(start[4:])
	if binary.LittleEndian.Uint32(start[:]) != frame || size > maxHead {
		return nil, bad("it is not a bundle")
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, damaged(err)
	}
	a := &Announced{Length: int64(len(start)) + int64(size)}
	line, rest, ok := bytes.Cut(payload, []byte("\n"))
	if !ok {
		return nil, bad("its head has no end")
	}
	a.text = payload[:len(line)+1]
	if err := json.Unmarshal(line, &a.Head); err != nil {
		return nil, bad("its head cannot be read: %v", err)
	}
	for _, l := range strings.Split(strings.TrimSuffix(string(rest), "\n"), "\n") {
		s, ok := strings.CutPrefix(l, signature)
		if l != "" && !ok {
			return nil, bad("its head has a line %.40q", l)
		}
		if ok {
			a.Signatures = append(a.Signatures, s)
		}
	}
	return a, a.Head.check()
}

// SignedBy reports whether the head has a signature by a key.
func (a *Announced) SignedBy(key *PublicKey) bool { return key.verify(a.text, a.Signatures) }

// check refuses a head that nobody of ours has written.
func (h *Head) check() error {
	if h.Version != Version {
		return bad("it is of version %d of the format, and this program reads %d", h.Version, Version)
	}
	for _, d := range []string{h.Store, h.State, h.Log, h.Conf} {
		if !path.IsAbs(d) || path.Clean(d) != d || d == "/" {
			return bad("its head names a directory %q", d)
		}
	}
	paths := []string{h.Nix, h.Derivation}
	for _, p := range h.Tools {
		paths = append(paths, p)
	}
	for _, p := range paths {
		if path.Dir(p) != h.Store || path.Base(p) == h.Store {
			return bad("its head names a path %q that is not in %q", p, h.Store)
		}
	}
	sum, err := hex.DecodeString(h.SHA256)
	if err != nil || len(sum) != 32 || h.Size <= 0 || h.Bytes <= 0 || h.Paths <= 0 {
		return bad("its head has no digest, or no sizes")
	}
	return nil
}

// encode returns the head as it is in a file, signed by the keys.
func (h *Head) encode(keys ...*SecretKey) ([]byte, error) {
	text, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	text = append(text, '\n')
	payload := bytes.Clone(text)
	for _, k := range keys {
		payload = fmt.Appendf(payload, "%s%s\n", signature, k.sign(text))
	}
	if len(payload) > maxHead {
		return nil, errors.New("bundle: the head is too long")
	}
	out := binary.LittleEndian.AppendUint32(nil, frame)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(payload)))
	return append(out, payload...), nil
}

// damaged makes an error of reading one about the format, where it is.
func damaged(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return bad("it ends too early")
	}
	return err
}
