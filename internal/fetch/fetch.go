// Package fetch brings files from mirrors into a content-addressed cache.
//
// A file is known by its SHA-256. It is at <cache>/sha256/<first two digits>/<digest>
// if and only if it was complete and right when it was put there, and is hashed again
// before a run uses it. What is under way lies in <cache>/tmp, whose files nobody
// but this package touches. Several processes may use one cache at once.
//
// The package trusts nothing that a server says, and never unpacks, lists or deletes
// what it fetched. It is the only importer of go-getter.
package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
)

// File is one file to fetch.
type File struct {
	SHA256 string   // 64 lower-case hexadecimal digits
	Size   int64    // bytes; 0 where it is not known
	Name   string   // for messages alone
	URLs   []string // http and https, and file where [Options.Files] says so, tried in order; none: the cache or nothing
	Path   string   // a file of this machine that it is a copy of, in place of URLs
}

// Options are the options of [New]. All but CacheDir may be left zero.
type Options struct {
	CacheDir  string            // absolute; made if it is not there
	Transport http.RoundTripper // default: [NewTransport] without a proxy
	Files     bool              // addresses may be files of this machine; Transport serves them
	Parallel  int               // files at a time; default 8
	Retries   int               // per address, beyond the first attempt; default 4, negative for none
	Stall     time.Duration     // a transfer without a byte for so long is cut; default 30 s
	MaxBytes  int64             // most bytes of a file whose size is not known; default 1 GiB
	Sink      event.Sink        // gets Progress in bytes, and Warn on each retry; default: none
	Stage     string            // of the events
	Now       func() time.Time  // of the events; nil leaves their time to the sink

	// Sleep waits between attempts and returns early, with an error, when ctx ends.
	// Tests replace it.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Fetcher fetches files into one cache. It may be used from several goroutines.
type Fetcher struct {
	opts   Options
	cache  cache
	client *http.Client

	trouble trouble

	mu    sync.Mutex
	known map[string]string // digest → path, of what this Fetcher has hashed already
}

// New returns a fetcher. It touches no disk.
func New(o Options) (*Fetcher, error) {
	if !filepath.IsAbs(o.CacheDir) {
		return nil, fault.New(fault.Usage, fmt.Errorf("cache directory %q: not an absolute path", o.CacheDir),
			"Name an absolute directory with --cache-dir.")
	}
	if o.Transport == nil {
		t, err := NewTransport(TransportOptions{})
		if err != nil {
			return nil, err
		}
		o.Transport = t
	}
	if o.Parallel <= 0 {
		o.Parallel = 8
	}
	if o.Retries == 0 {
		o.Retries = 4
	}
	o.Retries = max(o.Retries, 0)
	if o.Stall <= 0 {
		o.Stall = 30 * time.Second
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 1 << 30
	}
	if o.Sink == nil {
		o.Sink = event.Discard()
	}
	if o.Sleep == nil {
		o.Sleep = Sleep
	}
	return &Fetcher{
		opts:   o,
		cache:  cache{dir: filepath.Clean(o.CacheDir)},
		client: &http.Client{Transport: o.Transport, CheckRedirect: CheckRedirect},
		known:  make(map[string]string),
	}, nil
}

// Fetch brings the files into the cache and returns the absolute path of each by its digest.
// A file that is there already is hashed and not fetched.
//
// The error wraps a [*DigestError], [*SizeError] or [*GoneError] where these are the cause.
// A GoneError names all files that are gone, and the paths of all others are returned with it;
// any other error ends the whole call at once. What was fetched by then stays,
// and so does what was fetched in part: the next call continues it.
func (f *Fetcher) Fetch(ctx context.Context, files []File) (map[string]string, error) {
	files, err := f.prepare(files)
	if err != nil {
		return nil, err
	}
	bar := startProgress(f, sum(files))
	defer bar.stop()

	var mu sync.Mutex
	var gone []File
	paths := make(map[string]string, len(files))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(f.opts.Parallel)
	for _, file := range files {
		group.Go(func() error {
			path, err := f.one(gctx, file, &meter{bar: bar})
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, errGone) {
				gone = append(gone, file)
				return nil
			}
			if err == nil {
				paths[file.SHA256] = path
			}
			return err
		})
	}
	err = group.Wait()
	if err != nil && ctx.Err() != nil {
		return nil, interrupted(ctx)
	}
	if err != nil {
		return nil, err
	}
	if len(gone) > 0 {
		slices.SortFunc(gone, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
		return paths, fault.New(fault.General, &GoneError{Files: gone},
			"The archive has moved on: name a mirror that keeps old files with --mirror, or update the lock.")
	}
	return paths, nil
}

// Missing tells how many of the files are not in the cache, and their bytes.
// It goes by names and sizes and hashes nothing, so that a plan is quick to make.
func (f *Fetcher) Missing(files []File) (n int, bytes int64) {
	seen := make(map[string]bool, len(files))
	for _, file := range files {
		if seen[file.SHA256] {
			continue
		}
		seen[file.SHA256] = true
		if !isDigest(file.SHA256) || !f.cache.has(file) {
			n++
			bytes += file.Size
		}
	}
	return n, bytes
}

// Compare reports whether the cache has something by a file's digest, and whether that is the file. It
// fetches nothing, and leaves what is wrong where it is.
func (f *Fetcher) Compare(ctx context.Context, file File) (there, right bool, err error) {
	if !isDigest(file.SHA256) {
		return false, false, fmt.Errorf("file %q: sha256 %q is none", file.Name, file.SHA256)
	}
	there, right, err = f.cache.compare(ctx, file)
	if err != nil && ctx.Err() != nil {
		err = interrupted(ctx)
	}
	return there, right, err
}

// one returns the path of a file in the cache, fetching it if need be.
func (f *Fetcher) one(ctx context.Context, file File, m *meter) (string, error) {
	if path, err := f.cached(ctx, file, m); path != "" || err != nil {
		return path, err
	}
	if len(file.URLs) == 0 && file.Path == "" {
		return "", fault.New(fault.General, fmt.Errorf("fetch %q: not in the cache, and no address is known", file.Name),
			"Name a mirror with --mirror.")
	}
	p, err := f.cache.open(file.SHA256)
	if err != nil {
		return "", localFault(f.cache.dir, err)
	}
	defer p.close()
	// Another process may have completed the file since we looked and before we had the lock.
	if path, err := f.cached(ctx, file, m); path != "" || err != nil {
		return path, err
	}
	if file.Path != "" {
		return f.take(ctx, file, p, m)
	}
	d := &download{f: f, file: file, part: p, meter: m}
	return d.run(ctx)
}

// cached returns the path of a file that is in the cache and right, and "" for any other;
// one that is there and wrong is removed.
func (f *Fetcher) cached(ctx context.Context, file File, m *meter) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	f.mu.Lock()
	path, ok := f.known[file.SHA256]
	f.mu.Unlock()
	if !ok || !f.cache.has(file) {
		var bad string
		var err error
		path, bad, err = f.cache.check(ctx, file)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err != nil {
			return "", localFault(f.cache.dir, err)
		}
		if bad != "" {
			f.warn("cache: %q %s: removed, to be fetched again", file.Name, bad)
		}
		if path == "" {
			return "", nil
		}
		f.remember(file.SHA256, path)
	}
	m.set(file.Size)
	return path, nil
}

func (f *Fetcher) remember(digest, path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known[digest] = path
}

func (f *Fetcher) warn(format string, args ...any) {
	f.emit(event.Event{Kind: event.Warn, Text: fmt.Sprintf(format, args...)})
}

func (f *Fetcher) emit(e event.Event) {
	e.Stage = f.opts.Stage
	if f.opts.Now != nil {
		e.Time = f.opts.Now()
	}
	f.opts.Sink.Emit(e)
}

// prepare checks the files, drops what is there twice, and puts the largest first:
// begun last, a large file would be fetched alone at the end.
func (f *Fetcher) prepare(files []File) ([]File, error) {
	sizes := make(map[string]int64, len(files))
	out := make([]File, 0, len(files))
	for _, file := range files {
		if file.Name == "" {
			file.Name = file.SHA256
		}
		if !isDigest(file.SHA256) {
			return nil, fmt.Errorf("fetch %q: %q is no SHA-256 in lower-case hexadecimal", file.Name, file.SHA256)
		}
		if file.Size < 0 {
			return nil, fmt.Errorf("fetch %q: a size of %d bytes", file.Name, file.Size)
		}
		for _, raw := range file.URLs {
			if _, err := f.parseURL(raw); err != nil {
				return nil, fault.New(fault.Usage, fmt.Errorf("fetch %q: %w", file.Name, err),
					"An address is http://host/path or https://host/path.")
			}
		}
		if size, twice := sizes[file.SHA256]; twice {
			if size != file.Size {
				return nil, fmt.Errorf("fetch %q: %d bytes and %d bytes for one digest", file.Name, size, file.Size)
			}
			continue
		}
		sizes[file.SHA256] = file.Size
		out = append(out, file)
	}
	slices.SortStableFunc(out, func(a, b File) int { return cmp.Compare(b.Size, a.Size) })
	return out, nil
}

// sum returns the bytes of all files, and 0 if one of them has a size that is not known.
func sum(files []File) int64 {
	total := int64(0)
	for _, file := range files {
		if file.Size == 0 {
			return 0
		}
		total += file.Size
	}
	return total
}

// parseURL keeps the address itself out of its errors: it may hold a password.
func (f *Fetcher) parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("an address that is no URL")
	}
	if f.opts.Files && u.Scheme == "file" && u.Host == "" {
		return u, nil
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("an address with scheme %q", u.Scheme)
	}
	if u.Hostname() == "" {
		return nil, errors.New("an address without a host")
	}
	return u, nil
}

func isDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// interrupted is the error of a call whose context ended.
func interrupted(ctx context.Context) error {
	err := fmt.Errorf("fetch: %w", context.Cause(ctx))
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fault.New(fault.General, err, "Run the same command again: it continues where this one stopped.")
	}
	return fault.New(fault.Interrupted, err, "Run the same command again: it continues where this one stopped.")
}

// localFault is the error of a cache that cannot be read or written.
func localFault(dir string, err error) error {
	hint := "Name a directory that can be written with --cache-dir."
	if isFull(err) {
		hint = "Free some space, or name a cache on another disk with --cache-dir."
	}
	var pe *os.PathError
	if errors.As(err, &pe) {
		return fault.New(fault.General, fmt.Errorf("cache: %w", err), hint)
	}
	return fault.New(fault.General, fmt.Errorf("cache %q: %w", dir, err), hint)
}
