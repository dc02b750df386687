package stages

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"bootstrap/internal/deb"
	"bootstrap/internal/fetch"
	"bootstrap/internal/lock"
	"bootstrap/internal/relink"

	"golang.org/x/sync/errgroup"
)

// freshTree makes an empty directory in the work directory; what was in it is gone.
func freshTree(dir string) error {
	if err := removeTree(dir); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o755)
}

// hostShells puts the static bash where the sandboxes of the host nix have it as /bin/sh, as
// Debian's own nix-bin does, and beside it the static busybox, by which programs of ours run.
func (r *installation) hostShells(ctx context.Context) error {
	for _, s := range []struct{ pkg, file, to string }{
		{"bash-static", "usr/bin/bash-static", r.hostShellPath()},
		{"busybox-static", "usr/bin/busybox", r.hostAshPath()},
	} {
		data, err := r.seedFile(ctx, lock.Shell, s.pkg, s.file)
		if err != nil {
			return err
		}
		if err := r.writeFile(Host, s.to, data, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// relinkHost unpacks nix-bin and its libraries and makes them find each other where they are.
func (r *installation) relinkHost(ctx context.Context, program string) error {
	dir := r.layout.HostDir()
	triplet, loader := relink.Triplet(r.arch), relink.Loader(r.arch)
	lib := "usr/lib/" + triplet
	wanted := func(name string) bool {
		return strings.HasPrefix(name, lib+"/") && strings.Contains(filepath.Base(name), ".so") ||
			name == "usr/bin/nix" || name == "usr/bin/patchelf"
	}
	for _, part := range []struct {
		role lock.Role
		dir  string
	}{{lock.Host, "nix"}, {lock.Patchelf, "patchelf"}} {
		if err := r.unpack(ctx, r.lock.For(r.arch, part.role), filepath.Join(dir, part.dir), wanted); err != nil {
			return err
		}
	}
	tool := relink.Tool{Program: filepath.Join(dir, "patchelf/usr/bin/patchelf"), Log: r.stageLog(Host)}
	var err error
	if tool.Loader, tool.Libraries, err = relink.Runtime(filepath.Join(dir, "patchelf"), loader, triplet); err != nil {
		return err
	}
	return tool.Tree(ctx, relink.Options{
		Libraries: filepath.Join(dir, "nix", lib), Programs: []string{program},
		Loader: loader, Triplet: triplet, Parallel: r.jobs(),
	})
}

// unpack unpacks packages of the seed side by side.
func (r *installation) unpack(ctx context.Context, entries []lock.Entry, dir string, keep func(string) bool) (err error) {
	cached, err := r.cached(ctx, entries)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(r.jobs())
	for _, e := range entries {
		group.Go(func() error {
			_, err := deb.Extract(ctx, cached[e.SHA256], &deb.ExtractOptions{
				Root: root, Filter: keep, UsrMerge: true,
			})
			if err != nil {
				return fmt.Errorf("package %q: %w", filepath.Base(e.Path), err)
			}
			return nil
		})
	}
	return group.Wait()
}

// fetchHost fetches a static nix that the user has named with its digest.
func (r *installation) fetchHost(ctx context.Context, program string) error {
	f, err := r.fetcher()
	if err != nil {
		return err
	}
	got, err := f.Fetch(ctx, []fetch.File{{SHA256: r.HostSHA256, Name: "nix", URLs: []string{r.Host}}})
	if err != nil {
		return err
	}
	return copyFile(got[r.HostSHA256], program, 0o755)
}
