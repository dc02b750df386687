package stages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/lock"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/nixsource"
)

// schemaOf returns the number of the form that a Nix gives its database: the one that it gives a new
// database, in a store that nothing else uses. Each Nix reads databases up to that number, and takes
// older ones to it when it opens them (Nix 2.26, src/libstore/local-store.cc, LocalStore::LocalStore).
func (r *installation) schemaOf(ctx context.Context, n nixcmd.Nix) (_ int, err error) {
	dir := filepath.Join(r.layout.TmpDir(), "schema")
	if err := freshTree(dir); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, removeTree(dir)) }()
	state := filepath.Join(dir, "state")
	// Told of a store in its environment as well, it would know two.
	n.Options, n.Env = nil, n.Env.With(nil)
	for _, name := range []string{"NIX_STORE_DIR", "NIX_STATE_DIR", "NIX_LOG_DIR"} {
		delete(n.Env, name)
	}
	store := nixcmd.StoreURI(filepath.Join(dir, "store"), filepath.Join(dir, "store"), state, filepath.Join(dir, "log"))
	if _, err := n.Command("nix-store", "--store", store, "--query", "--roots", filepath.Join(dir, "store", strings.Repeat("0", 32)+"-none")).Output(ctx); ctx.Err() != nil {
		return 0, errors.Join(ctx.Err(), err)
	}
	return readSchema(filepath.Join(state, "db"))
}

// guardSchema keeps the database of an installation in a form that the installed Nix can read, and a
// Nix from a database that it cannot. It is asked before the Nix opens it.
func (r *installation) guardSchema(ctx context.Context, n nixcmd.Nix, who string) error {
	have, err := readSchema(r.layout.Database())
	if err != nil || have == 0 {
		return nil // there is none, or none that anybody can read, which is found out elsewhere
	}
	can, err := r.schemaOf(ctx, n)
	if err != nil || can == 0 {
		return err
	}
	if refusal := r.refuseSchema(have, can, who); refusal != nil {
		return refusal
	}
	return nil
}

// refuseSchema says why a database in the form it has is not for a Nix that can read some.
func (r *installation) refuseSchema(have, can int, who string) *fault.Error {
	switch {
	case can < have:
		return fault.New(fault.Unfit,
			fmt.Errorf("prefix %q: its database has form %d, and %s reads forms up to %d", r.layout.Store, have, who, can),
			"a newer Nix has taken it there; take one that is not older")
	case can > have && r.leaves.number > 0 && !r.OneWay:
		return fault.New(fault.Unfit,
			fmt.Errorf("prefix %q: %s takes the database from form %d to %d, which the Nix of generation %d cannot read", r.layout.Store, who, have, can, r.leaves.number),
			"there would be no way back; if you want it all the same: `bootstrap upgrade --one-way`")
	}
	return nil
}

// sourceFiles are those in which a source of Nix has the number of its form, by version.
func sourceFiles() []string {
	return []string{"src/libstore/local-store.hh", "src/libstore/include/nix/store/local-store.hh", "src/libstore/local-store.cc"}
}

var schemaNumber = regexp.MustCompile(`\bnixSchemaVersion\s*=\s*([0-9]+)\s*;`)

// refuseSource says what the source of the Nix that an upgrade would build says of the database, where
// it is on this machine: in the cache, or a file that was named. What cannot be known that way is
// found out before that Nix is first run.
func (r *installation) refuseSource(ctx context.Context) []*fault.Error {
	have, err := readSchema(r.layout.Database())
	if err != nil || have == 0 || r.leaves.number == 0 || r.set != nil {
		return nil
	}
	for _, e := range r.lock.For(r.arch, lock.NixSource) {
		file := r.sourceFile(ctx, e)
		if file == "" {
			return nil
		}
		source, err := nixsource.Read(ctx, file, sourceFiles())
		if err != nil {
			return nil
		}
		for _, name := range sourceFiles() {
			m := schemaNumber.FindSubmatch(source.Files[name])
			if m == nil {
				continue
			}
			can, _ := strconv.Atoi(string(m[1]))
			if refusal := r.refuseSchema(have, can, "Nix "+r.version.String()); refusal != nil {
				return []*fault.Error{refusal}
			}
			return nil
		}
	}
	return nil
}

// sourceFile returns where a source is on this machine, with the bytes that the lock says; "" if it
// is not.
func (r *installation) sourceFile(ctx context.Context, e lock.Entry) string {
	if file := e.File(); file != "" {
		if sum, _, err := digestUpTo(ctx, file, maxSource); err == nil && sum == e.SHA256 {
			return file
		}
	}
	f, err := r.fetcher()
	if err != nil {
		return ""
	}
	if n, _ := f.Missing(r.files([]lock.Entry{e}, "")); n > 0 {
		return ""
	}
	cached, err := r.cached(ctx, []lock.Entry{e})
	if err != nil {
		return ""
	}
	return cached[e.SHA256]
}

// readSchema returns the number in the directory of a database, 0 where there is none yet.
func readSchema(dir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, "schema"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}
