// Package archive reads the signed indexes of a Debian archive over HTTP.
//
// It owns the chain of trust from the archive's keys to the digest of every package:
// key, signature of InRelease, digests in it, Packages and Sources, digests in those.
// What it returns is what the archive signed. It fetches no package and resolves nothing.
//
// The formats are those of https://wiki.debian.org/DebianRepository/Format and of RFC 9580,
// section 7 (the cleartext signature framework).
package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ulikunitz/xz"

	"bootstrap/internal/control"
	"bootstrap/internal/fault"
)

// Component is the only component that is read.
const component = "main"

// Options says which archive, which suite of it, and whom to trust.
type Options struct {
	Mirror string       // base URL, without a slash at the end: below it are dists/ and pool/
	Suite  string       // "trixie": the directory below dists/, and the suite or codename in the index
	Client *http.Client // nil is [http.DefaultClient]
	// Now is the clock that Date and Valid-Until are held against. Required.
	Now func() time.Time
	// AllowExpired accepts an index past its Valid-Until.
	AllowExpired bool
	// Keyring holds the keys to trust; nil stands for [DebianKeys].
	Keyring openpgp.EntityList
	// NotBefore refuses an index that is older, as one that was good once and is sent again is;
	// AllowExpired accepts that, too. Zero refuses none.
	NotBefore time.Time

	Retries int           // of each request, beyond the first attempt; default 3, negative for none
	Stall   time.Duration // an answer without a byte for so long is cut; default 30 s
	// Sleep waits between attempts and returns early, with an error, when ctx ends. Tests replace it.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Archive is a suite whose InRelease was verified.
type Archive struct {
	opts    Options
	release Release
}

// Open fetches the suite's InRelease and verifies it.
//
// A signature that is missing or wrong, an index of another suite, one from the future
// and one past its Valid-Until are each a [fault.Error] of kind [fault.Verify].
func Open(ctx context.Context, opts *Options) (*Archive, error) {
	o := *opts
	if o.Mirror == "" || o.Suite == "" || o.Now == nil {
		return nil, errors.New("open archive: mirror, suite and clock are required")
	}
	o.Mirror = strings.TrimRight(o.Mirror, "/")
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	if o.Keyring == nil {
		keys, err := DebianKeys()
		if err != nil {
			return nil, err
		}
		o.Keyring = keys
	}
	o.setPatience()
	a := &Archive{opts: o}
	url := a.url("InRelease")
	data, err := a.get(ctx, url, maxInRelease)
	if err != nil {
		return nil, a.unreachable(err)
	}
	text, signer, err := verify(data, o.Keyring, o.Now())
	if err != nil {
		return nil, fault.New(fault.Verify, fmt.Errorf("signature %q: %w", url, err), hintSignature)
	}
	if a.release, err = parseRelease(text); err != nil {
		return nil, fault.New(fault.Verify, fmt.Errorf("index %q: %w", url, err), hintMirror)
	}
	a.release.SignedBy = signer
	a.release.InReleaseSHA256 = digest(data)
	if err := a.check(url); err != nil {
		return nil, err
	}
	return a, nil
}

// Release returns what the index says of itself.
func (a *Archive) Release() Release { return a.release }

// Packages returns the binary packages for an architecture, those for all architectures included.
func (a *Archive) Packages(ctx context.Context, arch string) ([]control.Package, error) {
	packages, err := readIndex(ctx, a, indexPath("binary-"+arch, "Packages"), control.Packages)
	if err != nil || !a.release.splitsAll() {
		return packages, err
	}
	more, err := readIndex(ctx, a, indexPath("binary-all", "Packages"), control.Packages)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(packages))
	for _, p := range packages {
		known[p.Filename] = true
	}
	more = slices.DeleteFunc(more, func(p control.Package) bool { return known[p.Filename] })
	return append(packages, more...), nil
}

// Sources returns the source packages.
func (a *Archive) Sources(ctx context.Context) ([]control.Source, error) {
	return readIndex(ctx, a, indexPath("source", "Sources"), control.Sources)
}

func indexPath(dir, file string) string { return component + "/" + dir + "/" + file + ".xz" }

// readIndex fetches an index by the name the Release has for it, checks its digest, and only then parses it.
func readIndex[T any](ctx context.Context, a *Archive, name string, parse parser[T]) ([]T, error) {
	packed, err := a.index(ctx, name)
	if err != nil {
		return nil, err
	}
	plain, err := xz.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fault.New(fault.Verify, fmt.Errorf("decompress %q: %w", a.url(name), err), hintMirror)
	}
	var list []T
	for v, err := range parse(&capped{r: plain, left: maxUnpacked, stop: ctx.Err}) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, fault.New(fault.Verify, fmt.Errorf("index %q: %w", a.url(name), err), hintMirror)
		}
		list = append(list, v)
	}
	return list, nil
}

// check holds the release against the request and the clock.
func (a *Archive) check(url string) error {
	r, now := a.release, a.opts.Now()
	switch {
	case a.opts.Suite != r.Suite && a.opts.Suite != r.Codename:
		err := fmt.Errorf("index %q: it is of suite %q, codename %q", url, r.Suite, r.Codename)
		return fault.New(fault.Verify, err, hintMirror)
	case r.Date.After(now.Add(maxSkew)):
		err := fmt.Errorf("index %q: it is from the future, %s", url, r.Date.Format(time.RFC3339))
		return fault.New(fault.Verify, err, "set this machine's clock; if it is right, use another mirror")
	case !r.ValidUntil.IsZero() && now.After(r.ValidUntil) && !a.opts.AllowExpired:
		err := fmt.Errorf("index %q: it expired on %s", url, r.ValidUntil.Format(time.RFC3339))
		return fault.New(fault.Verify, err,
			"use a mirror that is up to date, or accept the old index with `--allow-expired-index`")
	case r.Date.Before(a.opts.NotBefore) && !a.opts.AllowExpired:
		err := fmt.Errorf("index %q: it is of %s, and one of %s is known",
			url, r.Date.Format(time.RFC3339), a.opts.NotBefore.Format(time.RFC3339))
		return fault.New(fault.Verify, err,
			"the mirror is behind, or something on the way sends an old index: use another mirror, or accept it with `--allow-expired-index`")
	}
	return nil
}
