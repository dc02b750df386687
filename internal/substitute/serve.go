package substitute

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"regexp"
	"strconv"

	"bootstrap/internal/drv"

	"zombiezen.com/go/nix"
)

// wanted is what a binary cache is asked for, besides what it says of itself.
var wanted = regexp.MustCompile(`^/(?:([0-9a-z]{32})\.narinfo|nar/([0-9a-z]{32})\.nar)$`)

// Handler answers as a binary cache does. What it makes goes on, whoever hangs up, until ctx ends: a path is made
// once for all that ask for it. Whatever cannot be offered is not found.
//
// A path is fetched and relocated before its narinfo is given out, since its digest is in there. So nothing that
// goes wrong with the other cache can break a transfer from this one.
func (s *Substituter) Handler(ctx context.Context) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "a cache is only read", http.StatusMethodNotAllowed)
			return
		}
		if r.URL.Path == "/nix-cache-info" {
			s.reply(w, "text/x-nix-cache-info", []byte("StoreDir: "+string(s.Store)+"\nWantMassQuery: 1\nPriority: 30\n"))
			return
		}
		m := wanted.FindStringSubmatch(r.URL.Path)
		var err error
		switch {
		case m == nil:
			err = fs.ErrNotExist
		case m[1] != "":
			err = s.narinfo(ctx, w, m[1])
		default:
			err = s.archive(ctx, w, m[2])
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
		}
	})
}

func (s *Substituter) reply(w http.ResponseWriter, typ string, text []byte) {
	w.Header().Set("Content-Type", typ)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text) // nobody is there any more
}

func (s *Substituter) narinfo(ctx context.Context, w http.ResponseWriter, hash string) error {
	e, err := s.offer(ctx, hash)
	if err != nil {
		return err
	}
	info, err := s.sign(e)
	if err != nil {
		return err
	}
	text, err := info.MarshalText()
	if err != nil {
		return err
	}
	s.reply(w, nix.NARInfoMIMEType, text)
	return nil
}

// sign says what an entry is in the form that Nix reads, with this prefix's signature.
func (s *Substituter) sign(e *entry) (*nix.NARInfo, error) {
	raw, err := hex.DecodeString(e.NarHash)
	if err != nil || len(raw) != nix.SHA256.Size() {
		return nil, fmt.Errorf("%s: %q is no digest", e.Path, e.NarHash)
	}
	path := nix.StorePath(e.Path)
	info := &nix.NARInfo{
		StorePath: path, URL: "nar/" + path.Base()[:drv.HashLen] + narExt, Compression: nix.NoCompression,
		NARHash: nix.NewHash(nix.SHA256, raw), NARSize: e.NarSize, Deriver: nix.StorePath(string(s.Store) + "/" + e.Deriver),
	}
	for _, r := range e.References {
		info.References = append(info.References, nix.StorePath(string(s.Store)+"/"+r))
	}
	sig, err := nix.SignNARInfo(s.Key, info)
	if err != nil {
		return nil, err
	}
	info.AddSignatures(sig)
	return info, nil
}

// archive sends an archive. One that had to make room since its narinfo was asked for is made again, with the same bytes.
func (s *Substituter) archive(ctx context.Context, w http.ResponseWriter, hash string) error {
	file, err := s.Cache.open(hash)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err = s.offer(ctx, hash); err == nil {
			file, err = s.Cache.open(hash)
		}
	}
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-nix-nar")
	w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	_, _ = io.Copy(w, file) // who hangs up does not want it
	return nil
}
