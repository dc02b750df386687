package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"runtime"

	"bootstrap/internal/archive"
	"bootstrap/internal/fault"
	"bootstrap/internal/fetch"
	"bootstrap/internal/lock"
	"bootstrap/internal/mirror"
	"bootstrap/internal/prefix"
	"bootstrap/internal/resolve"
	"bootstrap/templates"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
)

func lockCommand(m machine) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lock",
		Short: "Show, make or compare locks: the files everything is built from, each by its sha256",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(lockShowCommand(m), lockUpdateCommand(m), lockSourceCommand(m), lockDiffCommand(m))
	return cmd
}

// updateFlags are those of `lock update`.
type updateFlags struct {
	seedFlags
	mirrorFlags
	output, table string
}

// newLock is what a new lock is called, if nobody says.
const newLock = "bootstrap.lock.json"

const hintOutput = "name another file with --output"

func lockUpdateCommand(m machine) *cobra.Command {
	f := &updateFlags{}
	cmd := &cobra.Command{
		Use:   "update",
		Short: "Make a lock from what a mirror's signed indexes have now",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return updateLock(cmd.Context(), m, f)
		},
	}
	s := cmd.Flags()
	f.seedFlags.register(s, "`file` with the lock to compare with (default: the one built in)")
	f.mirrorFlags.register(s)
	s.StringVarP(&f.output, "output", "o", "", "`file` to write (default: "+newLock+")")
	s.StringVar(&f.table, "table", "", "`file` that says what to lock, and from which suites (default: roots.json, built in)")
	return cmd
}

func updateLock(ctx context.Context, m machine, f *updateFlags) error {
	transport, err := f.transport(m, prefix.Layout{})
	if err != nil {
		return err
	}
	keyring, err := readKeys(f.keyring)
	if err != nil {
		return err
	}
	cacheDir, err := m.cacheDir(f.cacheDir)
	if err != nil {
		return err
	}
	table, err := f.roots()
	if err != nil {
		return err
	}
	known, err := lock.Parse(templates.Lock())
	if err != nil {
		return err
	}
	old, err := f.lock()
	if err != nil {
		return err
	}
	output, err := m.absolute("--output", cmp.Or(f.output, newLock))
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Dir(output)); err != nil {
		return fault.New(fault.Usage, err, hintOutput)
	}
	from, err := mirror.Find(ctx, mirror.Options{
		Flag: f.mirror, Env: m.getenv("BOOTSTRAP_MIRROR"), Root: m.root,
		Suite: table[lock.Toolchain].Suite, Transport: transport,
	})
	if err != nil {
		return err
	}
	view := newView(m, viewOptions{})
	defer view.Close()
	fetcher, err := fetch.New(fetch.Options{
		CacheDir: cacheDir, Transport: transport, Sink: view, Stage: "lock", Now: m.now,
	})
	if err != nil {
		return err
	}
	made, err := resolve.Update(ctx, resolve.Options{
		Archive: archive.Options{
			Mirror: from.URL, Client: &http.Client{Transport: transport}, Now: m.now,
			AllowExpired: f.allowExpired, Keyring: keyring,
		},
		Table: table, Known: known, Parallel: runtime.NumCPU(), Sink: view, Stage: "lock",
		Fetch: func(ctx context.Context, entries []lock.Entry) (map[string]string, error) {
			var files []fetch.File
			for _, e := range entries {
				files = append(files, fetch.File{
					SHA256: e.SHA256, Size: e.Size, Name: path.Base(e.Path), URLs: []string{fetch.JoinURL(from.URL, e.Path)},
				})
			}
			return fetcher.Fetch(ctx, files)
		},
	})
	if err != nil {
		return err
	}
	if err := view.Close(); err != nil {
		return err
	}
	return writeLock(m, output, old, made)
}

// roots returns the table that the lock is made from.
func (f *updateFlags) roots() (resolve.Table, error) {
	text := templates.Roots()
	if f.table != "" {
		var err error
		if text, err = os.ReadFile(f.table); err != nil {
			return nil, fault.New(fault.Usage, err, "give --table the path of a table like templates/packages/roots.json")
		}
	}
	table, err := resolve.ParseTable(text)
	if _, there := table[lock.Toolchain]; there && len(table) == 1 {
		return table, err // for a lock of what is added to another one: see docs/LOCK.md
	}
	for _, role := range lock.Roles() {
		if _, there := table[role]; !there && err == nil {
			err = fmt.Errorf("role %q: is not in it", role)
		}
	}
	if err != nil {
		return nil, fault.New(fault.Usage, fmt.Errorf("table %q: %w", cmp.Or(f.table, "roots.json"), err),
			"docs/LOCK.md says what a table has")
	}
	return table, nil
}

// writeLock writes the lock and says what is different from the one in use.
func writeLock(m machine, output string, old, made *lock.Lock) error {
	for _, change := range lock.Diff(old, made) {
		fmt.Fprintln(m.stdout, change)
	}
	if err := renameio.WriteFile(output, made.Marshal(), os.FileMode(0o644)); err != nil {
		return fault.New(fault.General, err, hintOutput)
	}
	fmt.Fprintf(m.stderr, "%s has the new lock; install from it with --lock\n", output)
	return nil
}
