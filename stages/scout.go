package stages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/closure"
	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/fetch"
	"bootstrap/internal/lock"
	"bootstrap/internal/mirror"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/pkgset"
	"bootstrap/internal/run"
	"bootstrap/patches"
)

// Examine finds out what is in the set of the options: its version, which of its Nixes there are patches for,
// and what building that comes to. It takes a Nix: the one that was named, that of the prefix, or else that of
// the seed, which is unpacked into a directory below scratch, as are the files of the set where they have to be
// fetched. The store that is evaluated in is there as well: nothing is written elsewhere. What is in the
// directory is needed until the set is in the store; remove takes it away.
func (o *Options) Examine(ctx context.Context, ref pkgset.Ref, scratch string) (remove func() error, err error) {
	if ref.Kind == pkgset.Own {
		o.Packages = &Set{}
		return func() error { return nil }, nil
	}
	dir, remove, err := newScratch(scratch)
	if err != nil {
		return nil, err
	}
	if err := o.examine(ctx, ref, dir); err != nil {
		return nil, errors.Join(err, remove())
	}
	return remove, nil
}

func (o *Options) examine(ctx context.Context, ref pkgset.Ref, dir string) error {
	s := &scout{dir: dir, set: &Set{}}
	s.r = &installation{
		Options: *o, layout: o.Layout, lock: o.Lock, set: s.set, done: map[string]outputs{}, seconds: map[string]float64{}, made: map[string]bool{},
	}
	if s.r.Sink == nil {
		s.r.Sink = event.Discard()
	}
	if err := s.r.look(ctx); err != nil {
		return err
	}
	if s.r.arch == "" {
		return fault.New(fault.Unfit, errors.New("package set: this machine is of an architecture that there is no seed for"), "")
	}
	if err := s.files(ctx, ref); err != nil {
		return err
	}
	if err := s.choose(ctx); err != nil {
		return err
	}
	if err := s.forecast(ctx); err != nil {
		return err
	}
	o.Packages = s.set
	return nil
}

// scout finds out about one set.
type scout struct {
	r   *installation
	set *Set
	dir string
	nix *nixcmd.Nix // once it was needed
}

// files brings the files of the set to a directory, and makes a pin of them.
func (s *scout) files(ctx context.Context, ref pkgset.Ref) (err error) {
	archive, sum := ref.At, ref.SHA256
	locked, rev := "", ""
	switch ref.Kind {
	case pkgset.Directory:
		s.set.Dir = ref.At
	case pkgset.Flake:
		if s.set.Dir, locked, rev, err = s.fetchFlake(ctx, ref); err != nil {
			return err
		}
	case pkgset.Download:
		if archive, err = s.download(ctx, ref); err != nil {
			return err
		}
		fallthrough
	default:
		if sum, err = s.unpack(ctx, archive, ref); err != nil {
			return err
		}
	}
	s.set.Pin, err = pkgset.Look(s.set.Dir)
	if err != nil {
		return err
	}
	s.set.From, s.set.SHA256, s.set.Locked = ref.Text, sum, locked
	if rev != "" {
		s.set.Rev = rev
	}
	return nil
}

// download returns the tarball: in the cache of downloads, or else in the scratch directory.
func (s *scout) download(ctx context.Context, ref pkgset.Ref) (string, error) {
	file := fetch.File{SHA256: ref.SHA256, Name: filepath.Base(ref.At), URLs: []string{ref.At}}
	f, err := s.fetcher([]fetch.File{file}, maxSet)
	if err != nil {
		return "", err
	}
	got, err := f.Fetch(ctx, []fetch.File{file})
	var gone *fetch.GoneError
	if errors.As(err, &gone) {
		return "", fault.New(fault.General, fmt.Errorf("package set: there is none at %s (404)", mirror.Redact(ref.At)), "give another address of the same file, or a path")
	}
	if fault.KindOf(err) == fault.Verify {
		err = fault.New(fault.Verify, err, "give the digest that its publisher states, or another address of the same file")
	}
	return got[ref.SHA256], err
}

// maxSet is the most bytes that a tarball of a set may have.
const maxSet = 1 << 30

// fetcher returns what has files in the cache of downloads, or brings them into the scratch directory.
func (s *scout) fetcher(files []fetch.File, most int64) (*fetch.Fetcher, error) {
	if s.r.CacheDir != "" {
		cache, err := fetch.New(fetch.Options{CacheDir: s.r.CacheDir})
		if err != nil {
			return nil, err
		}
		if n, _ := cache.Missing(files); n == 0 {
			return cache, nil
		}
	}
	s.r.CacheDir = filepath.Join(s.dir, "downloads")
	return fetch.New(fetch.Options{CacheDir: s.r.CacheDir, Transport: s.r.Transport, MaxBytes: most, Sink: s.r.Sink, Stage: Fetch, Now: s.r.Now})
}

// unpack unpacks a tarball whose digest is the one that was given, and returns that digest.
func (s *scout) unpack(ctx context.Context, archive string, ref pkgset.Ref) (string, error) {
	sum, _, err := digestUpTo(ctx, archive, maxSet)
	switch {
	case err != nil:
		return "", fault.New(fault.Usage, fmt.Errorf("package set %q: %w", ref.Text, err), "give the path of a tarball")
	case ref.SHA256 != "" && sum != ref.SHA256:
		return "", fault.New(fault.Verify, fmt.Errorf("package set %q: sha256 is %s, not %s", ref.Text, sum, ref.SHA256),
			"give the very file that the digest is of, or the digest that its publisher states")
	}
	to := filepath.Join(s.dir, "unpacked")
	if err := os.Mkdir(to, 0o755); err != nil {
		return "", err
	}
	s.set.Dir, err = pkgset.Unpack(ctx, archive, to)
	if err != nil {
		return "", fault.New(fault.Usage, fmt.Errorf("package set: %w", err), "give a tarball, plain, .gz or .xz, of nixpkgs or of a set in its shape")
	}
	return sum, nil
}

// fetchFlake has Nix fetch a flake reference.
func (s *scout) fetchFlake(ctx context.Context, ref pkgset.Ref) (dir, locked, rev string, err error) {
	n, err := s.scoutNix(ctx)
	if err != nil {
		return "", "", "", err
	}
	out, err := n.Command("nix", "flake", "prefetch", "--json", ref.At).Output(ctx)
	var failed *run.Error
	if errors.As(err, &failed) && slices.ContainsFunc(failed.Tail, func(line string) bool { return strings.Contains(line, "NAR hash mismatch") }) {
		return "", "", "", fault.New(fault.Verify, fmt.Errorf("package set %q: %w", ref.Text, err), "give the narHash that its publisher states, or leave it out")
	}
	if err != nil {
		return "", "", "", fault.New(fault.General, fmt.Errorf("package set %q: %w", ref.Text, err), "is the reference right, and does this machine reach the network?")
	}
	var got struct {
		StorePath string         `json:"storePath"`
		Locked    map[string]any `json:"locked"`
	}
	if err := json.Unmarshal(out, &got); err != nil {
		return "", "", "", fmt.Errorf("nix flake prefetch: %w", err)
	}
	base, ok := strings.CutPrefix(got.StorePath, s.r.layout.Store+"/")
	if !ok || closure.CheckBase(base) != nil {
		return "", "", "", fmt.Errorf("nix flake prefetch: %q is no path of this store", got.StorePath)
	}
	if got.Locked["type"] != "path" { // which is a copy in a store that goes away
		delete(got.Locked, "__final") // Nix's own
		text, err := json.Marshal(got.Locked)
		if err != nil {
			return "", "", "", err
		}
		locked = string(text)
	}
	rev, _ = got.Locked["rev"].(string)
	return filepath.Join(s.root(), got.StorePath), locked, rev, nil
}

// root stands for "/" in the store that is evaluated in.
func (s *scout) root() string { return filepath.Join(s.dir, "root") }

// scoutNix returns a Nix for that store, which has the store directory of the prefix.
func (s *scout) scoutNix(ctx context.Context) (nixcmd.Nix, error) {
	if s.nix != nil {
		return *s.nix, nil
	}
	program, err := s.program(ctx)
	if err != nil {
		return nixcmd.Nix{}, err
	}
	home, tmp := filepath.Join(s.dir, "home"), filepath.Join(s.dir, "tmp")
	for _, d := range []string{home, tmp} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nixcmd.Nix{}, err
		}
	}
	l := s.r.layout
	uri := nixcmd.StoreURI(l.Store, filepath.Join(s.root(), l.Store), filepath.Join(s.dir, "state"), filepath.Join(s.dir, "log"))
	s.nix = &nixcmd.Nix{
		Path: program,
		Env: run.BaseEnv(home, tmp, "/nonexistent").WithUser(s.r.User).With(run.Env{
			"NIX_CONF_DIR": home, "NIX_USER_CONF_FILES": "", "NIX_CACHE_HOME": filepath.Join(home, "cache"),
			"NIX_CONFIG_HOME": filepath.Join(home, "config"), "NIX_DATA_HOME": filepath.Join(home, "data"), "NIX_STATE_HOME": filepath.Join(home, "state"),
		}),
		Options: append([]string{"--store", uri}, asOptions([][2]string{
			{"experimental-features", "nix-command flakes"},
			{"build-users-group", ""},
			{"builders", ""},
			{"substituters", ""},
			{"sandbox", "false"},
			{"flake-registry", ""},
			{"warn-dirty", "false"},
			{"ssl-cert-file", s.authorities()},
		})...),
	}
	return *s.nix, nil
}

// authorities returns the certificates of the prefix, or else of the host.
func (s *scout) authorities() string {
	for _, file := range []string{s.r.CACert, s.r.layout.Certificates()} {
		if file != "" && exists(file) {
			return file
		}
	}
	return "/etc/ssl/certs/ca-certificates.crt"
}

// program returns the program of a Nix that runs here.
func (s *scout) program(ctx context.Context) (string, error) {
	r := s.r
	if r.Host != "" && !isURL(r.Host) {
		_, err := r.hostVersion(ctx, r.Host)
		return r.Host, err
	}
	for _, program := range []string{r.installedProgram(), nixcmd.Program(r.known(Native)["nix"]), r.known(Host)["nix"]} {
		if filepath.IsAbs(program) && r.runs(ctx, Host, program) {
			return program, nil
		}
	}
	return s.unpackHost(ctx)
}

// unpackHost makes the host nix of the seed run in the scratch directory.
func (s *scout) unpackHost(ctx context.Context) (string, error) {
	entries := s.r.lock.For(s.r.arch, lock.Host, lock.Patchelf)
	f, err := s.fetcher(s.r.files(entries, ""), 0)
	if err != nil {
		return "", err
	}
	from := ""
	if n, _ := f.Missing(s.r.files(entries, "")); n > 0 {
		m, err := mirror.Find(ctx, s.r.mirrorOptions())
		if err != nil {
			return "", err
		}
		from = m.URL
	}
	if _, err := f.Fetch(ctx, s.r.files(entries, from)); err != nil {
		return "", err
	}
	there := *s.r
	there.Host, there.layout.Work = "", filepath.Join(s.dir, "work")
	if isURL(s.r.Host) {
		there.Host = s.r.Host
		program := filepath.Join(s.dir, "nix")
		if err := there.fetchHost(ctx, program); err != nil {
			return "", err
		}
		_, err := there.hostVersion(ctx, program)
		return program, err
	}
	program := there.hostProgram()
	if err := there.relinkHost(ctx, program); err != nil {
		return "", err
	}
	if !there.runs(ctx, Host, program) {
		return "", fault.New(fault.Unfit, fmt.Errorf("directory %q: programs cannot be run in it", s.dir), "set TMPDIR to one in which they can")
	}
	return program, nil
}

// packages writes the directory of the package set as the prefix is going to have it, but with the files of the
// set where they are now.
func (s *scout) packages() (string, error) {
	dir := filepath.Join(s.dir, "packages")
	files, err := s.set.files(s.set.Dir)
	if err != nil {
		return "", err
	}
	if chosen := s.r.chosenDirectories(); len(chosen) > 0 {
		if files["directories.json"], err = json.Marshal(chosen); err != nil {
			return "", err
		}
	}
	if s.r.version != nil {
		series, err := patches.For(s.r.version)
		if err != nil {
			return "", err
		}
		for _, p := range series {
			files[filepath.Join("patches", filepath.Base(p.File))] = p.Body
		}
	}
	for name, data := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}
