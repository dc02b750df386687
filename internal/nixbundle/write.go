package nixbundle

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"bootstrap/internal/closure"
	"bootstrap/internal/nar"
	"bootstrap/internal/packed"

	"github.com/klauspost/compress/zstd"
	"zombiezen.com/go/nix"
)

// Options say what is written.
type Options struct {
	Head    Head             // all but Version, Paths, Bytes, SHA256 and Size
	Closure *closure.Closure // of Head.Nix and Head.Derivation
	Root    *os.Root         // its store directory, open
	Keys    []*SecretKey     // that sign
	Scratch string           // a directory for a file that goes again
	Done    func(bytes int64)
}

// digits is how many characters of a store path's name are its digest.
const digits = 32

// Write writes a bundle: the same bytes for the same closure and keys. It returns the head.
func Write(ctx context.Context, to io.Writer, o Options) (*Head, error) {
	h := o.Head
	recipe, made, err := split(o.Closure, h.Derivation, h.Nix)
	if err != nil {
		return nil, err
	}
	h.Version, h.Paths, h.Bytes = Version, len(recipe)+len(made), 0
	for _, p := range made {
		h.Bytes += p.NarSize
	}
	body, err := os.CreateTemp(o.Scratch, "bundle-")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	sum := sha256.New()
	if err := writeBody(ctx, io.MultiWriter(body, sum), o, slices.Concat(recipe, made)); err != nil {
		return nil, err
	}
	h.SHA256 = hex.EncodeToString(sum.Sum(nil))
	if h.Size, err = body.Seek(0, io.SeekEnd); err != nil {
		return nil, err
	}
	head, err := h.encode(o.Keys...)
	if err != nil {
		return nil, err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	_, err = io.Copy(to, io.MultiReader(strings.NewReader(string(head)), body))
	return &h, err
}

// Made returns the paths of a bundle that are moved: what a wanted path refers to, and itself, but for what the
// derivation needs to be known, which is evaluated anew.
func Made(c *closure.Closure, derivation, wanted string) ([]closure.Path, error) {
	_, made, err := split(c, derivation, wanted)
	return made, err
}

// split returns what a derivation needs to be known, and what else belongs to what it makes. Each is
// in the order of the names.
func split(c *closure.Closure, derivation, wanted string) (recipe, made []closure.Path, err error) {
	inRecipe, err := reach(c, derivation)
	if err != nil {
		return nil, nil, err
	}
	inMade, err := reach(c, wanted)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range c.Paths {
		switch {
		case inRecipe[p.Path]:
			recipe = append(recipe, p)
		case inMade[p.Path]:
			made = append(made, p)
		}
	}
	return recipe, made, nil
}

// reach returns everything that a path refers to, and itself.
func reach(c *closure.Closure, from string) (map[string]bool, error) {
	seen := map[string]bool{from: true}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		p := c.Path(queue[0])
		if p == nil {
			return nil, fmt.Errorf("bundle: %q is missing", queue[0])
		}
		for _, r := range p.References {
			if !seen[r] {
				seen[r] = true
				queue = append(queue, r)
			}
		}
	}
	return seen, nil
}

func writeBody(ctx context.Context, to io.Writer, o Options, paths []closure.Path) error {
	// One goroutine: see [bundle.Write].
	z, err := zstd.NewWriter(to, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true),
		zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		return err
	}
	w := packed.Writer{Tar: tar.NewWriter(z), Done: o.Done}
	err = writeEntries(ctx, &w, o, paths)
	if err == nil {
		err = w.Tar.Close()
	}
	return errors.Join(err, z.Close())
}

func writeEntries(ctx context.Context, w *packed.Writer, o Options, paths []closure.Path) error {
	info, err := (&nix.CacheInfo{StoreDirectory: nix.StoreDirectory(o.Head.Store)}).MarshalText()
	if err != nil {
		return err
	}
	if err := w.File(cacheInfo, 0o444, info); err != nil {
		return err
	}
	for _, p := range paths {
		text, err := narinfo(p, o.Keys)
		if err != nil {
			return err
		}
		if err := w.File(infoName(p.Path), 0o444, text); err != nil {
			return err
		}
	}
	for _, p := range paths {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writeNAR(w, o.Root, p); err != nil {
			return err
		}
	}
	return nil
}

// writeNAR writes the archive of a path, which must have the size that is registered.
func writeNAR(w *packed.Writer, root *os.Root, p closure.Path) error {
	sum := sha256.New()
	err := nar.Read(root, p.Base(), func(r io.Reader) error {
		return w.Reader(narName(p.Path), 0o444, p.NarSize, io.TeeReader(r, sum))
	})
	if err != nil {
		return err
	}
	if got := nar.Digest(sum.Sum(nil)); got != p.NarHash {
		return fmt.Errorf("bundle: %q has other contents than are registered: %s, not %s", p.Path, got, p.NarHash)
	}
	return nil
}

// narinfo returns what Nix knows of a path, in the form of binary caches.
func narinfo(p closure.Path, keys []*SecretKey) ([]byte, error) {
	info := &nix.NARInfo{
		StorePath: nix.StorePath(p.Path), URL: narName(p.Path), Compression: nix.NoCompression,
		NARHash: nix.NewHash(nix.SHA256, p.NarHash[:]), NARSize: p.NarSize,
		Deriver: nix.StorePath(p.Deriver),
	}
	info.FileHash, info.FileSize = info.NARHash, info.NARSize
	for _, r := range p.References {
		info.References = append(info.References, nix.StorePath(r))
	}
	for _, text := range p.Signatures {
		s, err := nix.ParseSignature(text)
		if err != nil {
			return nil, fmt.Errorf("bundle: %q: %w", p.Path, err)
		}
		info.AddSignatures(s)
	}
	for _, k := range keys {
		secret, err := nix.ParsePrivateKey(k.text)
		if err != nil {
			return nil, err
		}
		s, err := nix.SignNARInfo(secret, info)
		if err != nil {
			return nil, err
		}
		info.AddSignatures(s)
	}
	if p.CA != "" {
		ca, err := nix.ParseContentAddress(p.CA)
		if err != nil {
			return nil, fmt.Errorf("bundle: %q: %w", p.Path, err)
		}
		info.CA = ca
	}
	return info.MarshalText()
}

const cacheInfo = "nix-cache-info"

func infoName(storePath string) string { return path.Base(storePath)[:digits] + ".narinfo" }

func narName(storePath string) string { return "nar/" + path.Base(storePath)[:digits] + ".nar" }
