package stages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"bootstrap/internal/nixcmd"
	"bootstrap/internal/registry"
)

// askLocal asks whether sources can come from the store of the Nix in r.Classic, and returns its
// URL, or why not.
func (r *installation) askLocal(ctx context.Context, stage string) (url, reason string, err error) {
	if r.Classic == "" {
		return "", "", nil
	}
	c := registry.ClassicAt(r.Classic)
	if reason := refuseLocal(c, r.storeDir(), mayWrite); reason != "" {
		return "", reason, nil
	}
	url = localURL(c)
	if err := r.asker(stage).Command("nix", "store", "info",
		"--extra-experimental-features", "read-only-local-store", "--store", url).Run(ctx); err != nil {
		return "", fmt.Sprintf("Nix did not open that of %s when this was written", c.Store), ctx.Err()
	}
	return url, "", nil
}

// asker returns the Nix that is there by the time nix.conf is written.
func (r *installation) asker(stage string) nixcmd.Nix {
	if r.Runtime {
		return r.hostNix(stage)
	}
	return r.builtNix(stage, nixcmd.Program(r.known(Native)["nix"]))
}

// localURL is the store of a Nix as a substituter that is only read.
// https://nix.dev/manual/nix/2.26/store/types/local-store
func localURL(c *registry.Classic) string {
	l := c.Layout
	return "local?store=" + escapeParam(l.Store) + "&state=" + escapeParam(l.State) + "&log=" + escapeParam(l.Log) + "&read-only=true"
}

// refuseLocal says why a store is not to be asked for sources, as far as its files tell.
func refuseLocal(c *registry.Classic, own string, mayWrite func(dir string) bool) string {
	root := c.Layout.Root
	switch {
	case c.Store == own:
		return "this store itself is that of " + root
	case !exists(c.Store):
		return "there was none in " + root + " when this was written"
	}
	for _, path := range []string{c.Store, filepath.Join(c.Layout.Database(), "db.sqlite"), filepath.Join(c.Layout.Database(), "schema")} {
		if err := readable(path); err != nil {
			return fmt.Sprintf("%s is there, and %s", root, because(path, err))
		}
	}
	// Also of a store that it only reads, Nix makes the directories that are missing
	// (2.26, libstore/local-store.cc, LocalStore::LocalStore).
	if mayWrite(filepath.Dir(root)) {
		return fmt.Sprintf("you may write to %s, and Nix would make an empty %s whenever that is gone", filepath.Dir(root), root)
	}
	return ""
}

func mayWrite(dir string) bool {
	const write = 2 // W_OK of access(2)
	return syscall.Access(dir, write) == nil
}

// readable returns why a file or a directory cannot be read.
func readable(path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil || !info.IsDir() {
		return err
	}
	if _, err := f.ReadDir(1); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// because says in words why a path cannot be read.
func because(path string, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return path + " is missing"
	case errors.Is(err, fs.ErrPermission):
		return path + " may not be read"
	}
	return path + " cannot be read: " + err.Error()
}
