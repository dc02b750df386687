package collect

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Execute deletes what the plan says. Ended by ctx, it has deleted some of it, and nothing else.
func (p *Plan) Execute(ctx context.Context) (Result, error) {
	before, err := p.o.free()
	if err != nil {
		return Result{}, err
	}
	for _, r := range p.Roots {
		if err := os.Remove(r.Link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Result{}, err
		}
	}
	if err := p.deleteGenerations(ctx); err != nil {
		return Result{}, err
	}
	if _, err := p.o.Nix.Command("nix-store", "--gc").Output(ctx); err != nil {
		return Result{}, err
	}
	// The collector uses up the space that the database reserves for it; the next Nix reserves it
	// again, and that is not to be counted as freed.
	if _, err := p.o.Nix.Command("nix-store", "--query", "--roots", p.o.Store+"/"+strings.Repeat("0", 32)+"-none").Output(ctx); ctx.Err() != nil {
		return Result{}, errors.Join(err, ctx.Err())
	}
	r := Result{FreeBefore: before}
	for _, l := range p.Leftovers {
		if err := removeTree(l.Path); err != nil {
			return r, err
		}
		r.Bytes += l.Bytes
	}
	for _, d := range p.Dead {
		if _, err := os.Lstat(p.o.file(d.Path)); errors.Is(err, fs.ErrNotExist) {
			r.Paths++
			r.Bytes += d.Bytes
		}
	}
	r.FreeAfter, err = p.o.free()
	return r, err
}

// deleteGenerations has Nix delete them, under the lock of each profile.
func (p *Plan) deleteGenerations(ctx context.Context) error {
	numbers := map[string][]string{}
	var profiles []string
	for _, g := range p.Generations {
		if numbers[g.Profile] == nil {
			profiles = append(profiles, g.Profile)
		}
		numbers[g.Profile] = append(numbers[g.Profile], strconv.Itoa(g.Number))
	}
	for _, profile := range profiles {
		args := append([]string{"--profile", profile, "--delete-generations"}, numbers[profile]...)
		if _, err := p.o.Nix.Command("nix-env", args...).Output(ctx); err != nil {
			return err
		}
	}
	return nil
}

// file returns where a store path is on the disk.
func (o Options) file(path string) string {
	return filepath.Join(o.Layout.Store, strings.TrimPrefix(path, o.Store))
}

// free returns how many bytes an ordinary user may still write where the store is.
func (o Options) free() (int64, error) {
	var st syscall.Statfs_t
	err := syscall.Statfs(o.Layout.Store, &st)
	return int64(st.Bavail) * st.Bsize, err
}

// removeTree removes a directory whose own directories may be read-only.
func removeTree(dir string) error {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o700) // what cannot be removed, RemoveAll says
		}
		return nil
	})
	return os.RemoveAll(dir)
}
