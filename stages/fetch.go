package stages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"path/filepath"

	"bootstrap/internal/archive"
	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/fetch"
	"bootstrap/internal/lock"
	"bootstrap/internal/mirror"
	"bootstrap/internal/receipt"
	"bootstrap/internal/resolve"
	"bootstrap/templates"
)

// relock names the record of a lock that had to be made because a file was gone,
// relocked the file with that lock.
const (
	relock   = "relock"
	relocked = "lock.json"
)

// fetchStage: seed = fetch(lock).
//
// Key: the entries of the lock for this architecture, and what a cache has of later stages, by sha256.
// Output: nothing of its own; the files are in the cache, which all prefixes share.
func fetchStage() stage {
	return stage{
		name: Fetch, does: "download the seed", usedBy: []string{Host, Toolchain, Bootstrap, Native, Runtime},
		bringsTo: []string{Toolchain, Native},
		inputs:   func(r *installation) (any, error) { return append(r.digests(r.seed()), r.offeredDigests()...), nil },
		intact: func(_ context.Context, r *installation, _ outputs) bool {
			f, err := r.fetcher()
			if err != nil {
				return false
			}
			n, _ := f.Missing(append(r.files(r.seed(), ""), r.offeredFiles()...))
			return n == 0
		},
		build: (*installation).fetchSeed,
		again: func(r *installation, _ receipt.Stage) (remake, error) { return r.fetchAgain, nil },
	}
}

// seed returns the entries of the lock that this run needs.
func (r *installation) seed() []lock.Entry {
	if r.From != nil {
		return nil
	}
	roles := []lock.Role{lock.Shell, lock.Patchelf, lock.CACert}
	roles = append(roles, r.buildRoles()...)
	if r.Host == "" {
		roles = append(roles, lock.Host)
	}
	return r.lock.For(r.arch, roles...)
}

func (r *installation) digests(entries []lock.Entry) []string {
	sums := make([]string, len(entries))
	for i, e := range entries {
		sums[i] = e.SHA256
	}
	return sums
}

// files returns what to fetch for the entries: from the mirror, and from the snapshot archive,
// which keeps what a point release took off the mirrors.
func (r *installation) files(entries []lock.Entry, from string) []fetch.File {
	files := make([]fetch.File, len(entries))
	for i, e := range entries {
		files[i] = fetch.File{SHA256: e.SHA256, Size: e.Size, Name: path.Base(e.Path)}
		if from != "" {
			for _, base := range append([]string{from}, r.snapshots(e)...) {
				files[i].URLs = append(files[i].URLs, fetch.JoinURL(base, e.Path))
			}
		}
	}
	return files
}

// snapshots returns the base URLs of the archive as it was when the lock had an entry; in a lock that
// was mended there are files of two times.
func (r *installation) snapshots(e lock.Entry) []string {
	if r.Snapshot != "" {
		return []string{r.Snapshot}
	}
	bases := []string{mirror.SnapshotURL(r.lock.TimeOf(e))}
	if r.Lock.Timestamp != r.lock.Timestamp {
		bases = append(bases, mirror.SnapshotURL(r.Lock.Timestamp))
	}
	return bases
}

func (r *installation) fetcher() (*fetch.Fetcher, error) { return r.fetcherOf(Fetch) }

// fetcherOf is one that tells of its progress as part of a stage.
func (r *installation) fetcherOf(stage string) (*fetch.Fetcher, error) {
	return fetch.New(fetch.Options{
		CacheDir: r.CacheDir, Transport: r.Transport, Sink: r.Sink, Stage: stage, Now: r.Now,
	})
}

func (r *installation) fetchSeed(ctx context.Context) (outputs, error) {
	f, err := r.fetcher()
	if err != nil {
		return nil, err
	}
	from, err := r.bring(ctx, f, r.seed())
	var gone *fetch.GoneError
	if errors.As(err, &gone) {
		if err := r.resolveAgain(ctx, f, from.URL, gone); err != nil {
			return nil, err
		}
		_, err = f.Fetch(ctx, r.files(r.seed(), from.URL))
	}
	if err != nil {
		return nil, blame(err, from)
	}
	if err := r.fetchOffers(ctx); err != nil {
		return nil, err
	}
	return outputs{"files": fmt.Sprint(len(r.seed()) + len(r.offeredFiles()))}, nil
}

// bring has the files of entries be in the cache, each with its digest found right, and returns the mirror
// that was asked, if one was.
func (r *installation) bring(ctx context.Context, f *fetch.Fetcher, entries []lock.Entry) (from mirror.Mirror, err error) {
	if err := r.fetchElsewhere(ctx, f, entries); err != nil {
		return from, err
	}
	if n, _ := f.Missing(r.files(entries, "")); n > 0 {
		if from, err = mirror.Find(ctx, r.mirrorOptions()); err != nil {
			return from, err
		}
	}
	_, err = f.Fetch(ctx, r.files(entries, from.URL))
	return from, err
}

// bringRoles has the files of roles be in the cache, for a stage that is made once more.
func (r *installation) bringRoles(ctx context.Context, stage string, roles ...lock.Role) error {
	f, err := r.fetcherOf(stage)
	if err != nil {
		return err
	}
	from, err := r.bring(ctx, f, r.lock.For(r.arch, roles...))
	return blame(err, from)
}

// fetchAgain compares every file of the seed with the lock: what the cache has is read once more, and what
// it has not any more is fetched.
func (r *installation) fetchAgain(ctx context.Context, tell func(name, path string, identical bool)) error {
	f, err := r.fetcher()
	if err != nil {
		return err
	}
	var missing []lock.Entry
	for _, e := range r.seed() {
		there, right, err := f.Compare(ctx, r.files([]lock.Entry{e}, "")[0])
		switch {
		case err != nil:
			return err
		case there:
			tell(e.Name, e.Path, right)
		default:
			missing = append(missing, e)
		}
	}
	from, err := r.bring(ctx, f, missing)
	if err != nil {
		return blame(err, from)
	}
	for _, e := range missing {
		tell(e.Name, e.Path, true)
	}
	return nil
}

// blame says in the hint which mirror was asked, and how it was found: it may be one of the host's own
// that nobody has thought of for years.
func blame(err error, from mirror.Mirror) error {
	kind, hint := fault.KindOf(err), fault.HintOf(err)
	if from.URL == "" || hint == "" || kind == fault.Interrupted {
		return err
	}
	return fault.New(kind, err, fmt.Sprintf("%s The mirror is %s (%s).", hint, mirror.Redact(from.URL), from.Origin))
}

// resolveAgain replaces the entries whose files are nowhere any more by what the signed index
// has now. The new lock is kept beside the journal, and says so.
func (r *installation) resolveAgain(ctx context.Context, f *fetch.Fetcher, from string, gone *fetch.GoneError) error {
	table, err := resolve.ParseTable(templates.Roots())
	if err != nil {
		return err
	}
	missing := map[string]bool{}
	for _, file := range gone.Files {
		missing[file.SHA256] = true
	}
	var entries []lock.Entry
	for _, e := range r.seed() {
		if missing[e.SHA256] {
			entries = append(entries, e)
		}
	}
	made, changes, err := resolve.Replace(ctx, r.lock, entries, resolve.Options{
		Archive: archive.Options{
			Mirror: from, Client: &http.Client{Transport: r.Transport},
			Now: r.Now, AllowExpired: r.AllowExpired, Keyring: r.Keyring,
		},
		Table:         table,
		Architectures: []string{r.arch},
		Fetch: func(ctx context.Context, entries []lock.Entry) (map[string]string, error) {
			return f.Fetch(ctx, r.files(entries, from))
		},
		TempDir: r.layout.TmpDir(), Sink: r.Sink, Stage: Fetch,
	})
	if err != nil {
		return fault.New(fault.KindOf(err), fmt.Errorf("%d files of the lock are on no mirror any more, nor in the snapshot archive: %w", len(entries), err),
			fault.HintOf(err))
	}
	for _, c := range changes {
		r.emit(event.Warn, Fetch, "changed since the lock was made: "+c.String())
	}
	r.emit(event.Warn, Fetch, "the seed is another one than the lock's: store paths will differ from those of other installations")
	if err := r.writeFile(Fetch, filepath.Join(r.layout.Work, relocked), made.Marshal(), 0o644); err != nil {
		return err
	}
	err = r.journal.End(relock, "", outputs{"from": r.Lock.Digest(), "to": made.Digest()})
	r.lock = made
	return r.record("relock", err)
}
