package bincache

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/closure"
	"bootstrap/internal/fault"
	"bootstrap/internal/fetch"

	"zombiezen.com/go/nix"
)

// Object is a store path that a cache has, signed by its key.
type Object struct {
	Path       string
	References []string // besides itself
	NarSize    int64
	Info       []byte // the narinfo, as the cache has it
	InfoName   string // the name of that in a cache
	FileName   string // the name of the packed contents in a cache

	file fetch.File
}

// File returns what to fetch for it.
func (o Object) File() fetch.File { return o.file }

// infoName returns the name of a store path's narinfo.
func infoName(storePath string) string {
	digest, _, _ := strings.Cut(path.Base(storePath), "-")
	return digest + nix.NARInfoExtension
}

// Object asks for one store path. It wraps [ErrMissing] if the cache does not have it.
func (c *Cache) Object(ctx context.Context, storePath string) (Object, error) {
	info, text, err := c.info(ctx, storePath)
	if err != nil {
		return Object{}, err
	}
	if err := c.signed(info); err != nil {
		return Object{}, err
	}
	o := Object{
		Path: storePath, NarSize: info.NARSize, Info: text, InfoName: infoName(storePath), FileName: info.URL,
		file: fetch.File{
			SHA256: hex.EncodeToString(info.FileHash.Bytes(nil)), Size: info.FileSize,
			Name: closure.Name(storePath) + path.Ext(info.URL), URLs: []string{c.Address(info.URL)},
		},
	}
	for _, r := range info.References {
		if string(r) != storePath {
			o.References = append(o.References, string(r))
		}
	}
	return o, nil
}

// info reads a narinfo, and makes sure that it is one of that path.
func (c *Cache) info(ctx context.Context, storePath string) (*nix.NARInfo, []byte, error) {
	text, err := c.get(ctx, infoName(storePath))
	if errors.Is(err, ErrMissing) {
		return nil, nil, fmt.Errorf("cache %q: %q %w", c.URL, storePath, ErrMissing)
	}
	if err != nil {
		return nil, nil, err
	}
	info := &nix.NARInfo{}
	if err := info.UnmarshalText(text); err != nil {
		return nil, nil, c.damaged(storePath, err.Error())
	}
	switch {
	case string(info.StorePath) != storePath:
		return nil, nil, c.damaged(storePath, fmt.Sprintf("it is of %q", info.StorePath))
	case !filepath.IsLocal(info.URL) || path.Clean(info.URL) != info.URL || !strings.HasPrefix(info.URL, "nar/"):
		return nil, nil, c.damaged(storePath, fmt.Sprintf("its contents are at %q", info.URL))
	case info.FileHash.Type() != nix.SHA256 || info.FileSize <= 0:
		return nil, nil, c.damaged(storePath, "it does not say the sha256 and the size of the file")
	}
	return info, text, nil
}

func (c *Cache) damaged(storePath, what string) error {
	return fault.New(fault.Verify, fmt.Errorf("cache %q: what it says of %q cannot be used: %s", c.URL, storePath, what),
		"whoever fills the cache has to push it again")
}

// signed refuses what the key has not signed.
func (c *Cache) signed(info *nix.NARInfo) error {
	if c.Key == nil {
		return nil
	}
	var others []string
	for _, s := range info.Sig {
		if nix.VerifyNARInfo([]*nix.PublicKey{c.Key}, info, s) == nil {
			return nil
		}
		others = append(others, s.Name())
	}
	if slices.Contains(others, c.Key.Name()) {
		return fault.New(fault.Verify, fmt.Errorf("cache %q: the signature of %q is not one of the key %q", c.URL, info.StorePath, c.Key),
			"the key has the name of the one that signed it, and is another; or the cache was changed")
	}
	by := "it is not signed at all"
	if len(others) > 0 {
		by = "it is signed by " + strings.Join(others, " and ")
	}
	return fault.New(fault.Verify, fmt.Errorf("cache %q: %q is not signed by the key %q: %s", c.URL, info.StorePath, c.Key.Name(), by),
		"give the public key of whoever fills the cache with --key")
}

// Closure asks for store paths and all that they refer to, but for what known says is there already,
// and what only that refers to. The paths are in the order of being asked for.
func (c *Cache) Closure(ctx context.Context, wanted []string, known func(string) bool) ([]Object, error) {
	var all []Object
	seen := map[string]bool{}
	for next := wanted; len(next) > 0; {
		storePath := next[0]
		next = next[1:]
		if seen[storePath] || known(storePath) {
			continue
		}
		seen[storePath] = true
		o, err := c.Object(ctx, storePath)
		if err != nil {
			return nil, err
		}
		all = append(all, o)
		next = append(next[:len(next):len(next)], o.References...)
	}
	return all, nil
}
