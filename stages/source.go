package stages

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"bootstrap/internal/fault"
	"bootstrap/internal/fetch"
	"bootstrap/internal/lock"
	"bootstrap/internal/mirror"
	"bootstrap/internal/nixsource"
	"bootstrap/patches"
	"bootstrap/templates"
)

// SourceOptions say which source of Nix is to be built in place of a lock's.
type SourceOptions struct {
	Lock    *lock.Lock
	Address string // http(s) URL or absolute path of a tarball
	SHA256  string // of it; may be "" where it is a path

	CacheDir  string            // of downloads, absolute; it is only read
	Scratch   string            // directory for what is downloaded to be looked at, absolute
	Transport http.RoundTripper // reaches the URL
}

// maxSource is the most bytes that a tarball of a source may have.
const maxSource = 256 << 20

// ChooseSource returns the lock with another source of Nix, whose version is what the source itself
// says. It refuses one that there are no patches for, or that one of them does not apply to, since
// a Nix without them would not keep to its prefix. The lock has what that version needs of a toolchain
// besides, if that is known for its suite. A tarball that is not in the cache is downloaded
// into the scratch directory for that; nothing is left behind.
func ChooseSource(ctx context.Context, o SourceOptions) (*lock.Lock, error) {
	found := lock.Entry{Name: "nix", SHA256: o.SHA256, URL: o.Address}
	file := o.Address
	if isURL(o.Address) {
		dir, err := os.MkdirTemp(o.Scratch, "source-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		if file, err = o.download(ctx, dir); err != nil {
			return nil, err
		}
	} else {
		found.URL = (&url.URL{Scheme: "file", Path: o.Address}).String()
	}
	sum, size, err := digestUpTo(ctx, file, maxSource)
	switch {
	case err != nil:
		return nil, fault.New(fault.Usage, fmt.Errorf("source %q: %w", o.Address, err), hintSource)
	case o.SHA256 != "" && sum != o.SHA256:
		return nil, fault.New(fault.Verify, fmt.Errorf("source %q: sha256 is %s, not %s", mirror.Redact(o.Address), sum, o.SHA256),
			"give the very file that the digest is of, or the digest that its publisher states")
	}
	found.SHA256, found.Size = sum, size
	source, err := lookAtSource(ctx, file, mirror.Redact(o.Address))
	if err != nil {
		return nil, err
	}
	found.Version = source.Version.Core().String()
	// The name has no part of the address: the same bytes are the same store path, wherever they are from.
	found.Path = "nix_" + found.Version + source.Ending
	made, err := o.Lock.WithSource(found)
	if err != nil {
		return nil, fault.New(fault.Usage, fmt.Errorf("source %q: %w", mirror.Redact(o.Address), err), hintSource)
	}
	return withNeeds(templates.Needs(), templates.Later(), source.Version, made)
}

const hintSource = "give --nix-source the http(s) address or the path of a tarball of Nix's source, without a login in it"

// download returns the path of the tarball: in the cache, or else in dir.
func (o SourceOptions) download(ctx context.Context, dir string) (string, error) {
	file := fetch.File{SHA256: o.SHA256, Name: path.Base(o.Address)}
	if o.CacheDir != "" {
		cache, err := fetch.New(fetch.Options{CacheDir: o.CacheDir})
		if err != nil {
			return "", err
		}
		if n, _ := cache.Missing([]fetch.File{file}); n == 0 {
			dir = o.CacheDir
		}
	}
	file.URLs = []string{o.Address}
	f, err := fetch.New(fetch.Options{CacheDir: dir, Transport: o.Transport, MaxBytes: maxSource})
	if err != nil {
		return "", err
	}
	got, err := f.Fetch(ctx, []fetch.File{file})
	return got[o.SHA256], goneSource(err, o.Address)
}

// digestUpTo returns the sha256 and the size of a file of no more than so many bytes.
func digestUpTo(ctx context.Context, name string, most int64) (sum string, size int64, err error) {
	f, err := os.OpenFile(filepath.Clean(name), os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would be waited for
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	switch info, err := f.Stat(); {
	case err != nil:
		return "", 0, err
	case !info.Mode().IsRegular():
		return "", 0, errors.New("is not a file")
	case info.Size() > most:
		return "", 0, fmt.Errorf("has %d bytes: too large", info.Size())
	}
	hash := sha256.New()
	if size, err = io.Copy(hash, f); err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(hash.Sum(nil)), size, ctx.Err()
}

// lookAtSource reads a tarball, and refuses one that the patches do not fit.
func lookAtSource(ctx context.Context, file, shown string) (*nixsource.Source, error) {
	all, err := patches.All()
	if err != nil {
		return nil, err
	}
	source, err := nixsource.ReadAs(ctx, shown, file, patches.Files(all))
	if err != nil {
		return nil, err
	}
	series, err := patches.Select(all, source.Version)
	if err != nil {
		return nil, fault.New(fault.Usage, fmt.Errorf("source %q: %w", shown, err),
			"`bootstrap patches check` says which patches apply to it, and docs/PATCHES.md how a series is made")
	}
	var bad []string
	for _, f := range patches.Check(source.Files, series) {
		if f.Verdict != patches.Applies {
			bad = append(bad, fmt.Sprintf("%s %s", f.Patch.File, f.Verdict))
		}
	}
	if len(bad) > 0 {
		return nil, fault.New(fault.Usage, fmt.Errorf("source %q: of the patches for Nix %s, %d do not apply to it: %s",
			shown, source.Version.Original(), len(bad), strings.Join(bad, ", ")),
			"is it as it was released? `bootstrap patches check` prints what is different, and docs/PATCHES.md says what to do")
	}
	return source, nil
}

// elsewhere returns the entries of files that are not of the archive, archived all others.
func elsewhere(entries []lock.Entry) []lock.Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e lock.Entry) bool { return e.URL == "" })
}

func archived(entries []lock.Entry) []lock.Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e lock.Entry) bool { return e.URL != "" })
}

// fetchElsewhere brings what of the entries is not of the archive into the cache.
func (r *installation) fetchElsewhere(ctx context.Context, f *fetch.Fetcher, entries []lock.Entry) error {
	for _, e := range elsewhere(entries) {
		file := fetch.File{SHA256: e.SHA256, Size: e.Size, Name: e.Path, Path: e.File()}
		if file.Path == "" {
			file.URLs = []string{e.URL}
		}
		if _, err := f.Fetch(ctx, []fetch.File{file}); err != nil {
			return goneSource(err, e.URL)
		}
	}
	return nil
}

// goneSource says of a tarball that is gone what can be done: no archive has it.
func goneSource(err error, address string) error {
	var gone *fetch.GoneError
	if !errors.As(err, &gone) {
		return err
	}
	return fault.New(fault.General, fmt.Errorf("source of Nix: there is none at %s (404)", mirror.Redact(address)),
		"give another address of the same file with --nix-source, or a path, with the digest in --nix-sha256")
}

// vetSources refuses sources from elsewhere that are not what the lock says, or do not fit the
// patches: the lock may be of a file that somebody else has written.
func (r *installation) vetSources(ctx context.Context, cached map[string]string) error {
	for _, e := range elsewhere(r.lock.For(r.arch, lock.NixSource)) {
		source, err := lookAtSource(ctx, cached[e.SHA256], e.Path)
		if err != nil {
			return err
		}
		if got := source.Version.Core().String(); got != r.version.String() {
			return fault.New(fault.Verify, fmt.Errorf("source %q: it is of Nix %s", e.Path, got),
				"make the lock again with `bootstrap lock source`")
		}
	}
	return nil
}
