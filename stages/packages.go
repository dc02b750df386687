package stages

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"bootstrap/internal/deb"
	"bootstrap/internal/fetch"
	"bootstrap/internal/journal"
	"bootstrap/internal/lock"
	"bootstrap/internal/prefix"
	"bootstrap/patches"
	"bootstrap/templates"

	version "github.com/hashicorp/go-version"
)

// packageSet returns the files of the package set of this installation by their names: the
// expressions and builder scripts, the lock, the patches for the Nix version, and the directories
// where they do not follow from the store directory. The seed's shell is not among them.
//
// Keys, plans and files are all made from it; so it is put together once, and nobody may change it.
func (r *installation) packageSet() (map[string][]byte, error) {
	if r.set != nil { // whose files may have come meanwhile
		return r.assembled()
	}
	of := packaged{layout: r.layout, lock: r.lock, version: r.version}
	if r.packaged.files != nil && r.packaged.same(of) {
		return r.packaged.files, nil
	}
	var err error
	if of.files, err = r.assembled(); err == nil {
		r.packaged = of
	}
	return of.files, err
}

// packaged is a package set that was put together, and of what.
type packaged struct {
	layout  prefix.Layout
	lock    *lock.Lock
	version *version.Version
	files   map[string][]byte
}

func (p packaged) same(as packaged) bool {
	return p.layout == as.layout && p.lock == as.lock && p.version == as.version
}

func (r *installation) assembled() (map[string][]byte, error) {
	files, err := r.expressions()
	if err != nil {
		return nil, err
	}
	files["lock.json"] = r.lock.Marshal()
	series, err := patches.For(r.version)
	if err != nil {
		return nil, err
	}
	for _, p := range series {
		files[path.Join("patches", path.Base(p.File))] = p.Body
	}
	if chosen := r.chosenDirectories(); len(chosen) > 0 {
		if files["directories.json"], err = json.MarshalIndent(chosen, "", "  "); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// expressions returns what is in the package set of one kind.
func (r *installation) expressions() (map[string][]byte, error) {
	if r.set != nil {
		path, err := r.setPath()
		if err != nil {
			return nil, err
		}
		return r.set.files(path)
	}
	files := map[string][]byte{}
	err := fs.WalkDir(templates.Packages(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".json") {
			return err
		}
		files[name], err = fs.ReadFile(templates.Packages(), name)
		return err
	})
	return files, err
}

// chosenDirectories returns the directories that the user has put elsewhere.
func (r *installation) chosenDirectories() map[string]string {
	chosen := map[string]string{}
	for name, d := range map[string][2]string{
		"state": {r.layout.State, filepath.Join(r.layout.Root, "var", "nix")},
		"log":   {r.layout.Log, filepath.Join(r.layout.Root, "var", "log", "nix")},
		"conf":  {r.layout.Conf, filepath.Join(r.layout.Root, "etc", "nix")},
	} {
		if d[0] != d[1] {
			chosen[name] = d[0]
		}
	}
	return chosen
}

// packageDigests returns the digest of every file of the package set, for keys.
func (r *installation) packageDigests(skip ...string) (map[string]string, error) {
	files, err := r.packageSet()
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	for name, data := range files {
		sum := sha256.Sum256(data)
		sums[name] = hex.EncodeToString(sum[:])
	}
	for name := range sums {
		for _, s := range skip {
			if strings.HasPrefix(name, s) {
				delete(sums, name)
			}
		}
	}
	return sums, nil
}

// packages returns where the package set is that this run builds from.
func (r *installation) packages() string { return r.at(r.layout.Packages) }

// writePackages makes the package set's directory be exactly that: what is missing or different
// is written, what an older installer left there is removed.
func (r *installation) writePackages(ctx context.Context, stage string) error {
	files, err := r.packageSet()
	if err != nil {
		return err
	}
	set := r.packages()
	if err := r.checkPlace(r.layout.Packages); err != nil {
		return err
	}
	if err := r.mkdir(stage, journal.Tree, set, 0o755); err != nil {
		return err
	}
	for name, data := range files {
		if err := r.put(stage, filepath.Join(set, name), data, 0o644); err != nil {
			return err
		}
	}
	if err := r.writeShell(ctx, stage); err != nil {
		return err
	}
	return filepath.WalkDir(set, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(set, p)
		if _, ours := files[name]; ours || strings.HasPrefix(name, seedShell+"/") {
			return nil
		}
		return os.Remove(p)
	})
}

// seedShell is the directory of the package set that busybox.nix takes for busybox.
const seedShell = "seed"

// writeShell unpacks the static busybox of the seed. It has to be there as a file that keeps its
// execute bit, since nothing can be unpacked in the store before there is a shell in it.
func (r *installation) writeShell(ctx context.Context, stage string) error {
	program := r.seedShell()
	if info, err := os.Stat(program); err == nil && info.Mode().Perm() == 0o755 && info.Size() > 0 {
		return r.link(stage, "busybox", filepath.Join(filepath.Dir(program), "sh"))
	}
	data, err := r.shellBytes(ctx)
	if err != nil {
		return err
	}
	if err := r.put(stage, program, data, 0o755); err != nil {
		return err
	}
	return r.link(stage, "busybox", filepath.Join(filepath.Dir(program), "sh"))
}

// shellBytes returns the static busybox: that of a bundle, that in the store, whose contents were
// compared with the database, or that of the seed.
func (r *installation) shellBytes(ctx context.Context) ([]byte, error) {
	if r.shell != nil {
		return r.shell, nil
	}
	for _, stage := range []string{Toolchain, Relocate} {
		if made := r.done[stage][ShellAttribute]; made != "" {
			return readFile(filepath.Join(made, "bin", "busybox"))
		}
	}
	return r.seedFile(ctx, lock.Shell, "busybox-static", "usr/bin/busybox")
}

// seedShell returns the program that busybox.nix takes.
func (r *installation) seedShell() string {
	return filepath.Join(r.packages(), seedShell, "bin", "busybox")
}

// havePackages reports whether the package set's directory has every file as it should be.
func (r *installation) havePackages() bool {
	files, err := r.packageSet()
	if err != nil || !exists(r.seedShell()) {
		return false
	}
	for name, data := range files {
		if !isFile(filepath.Join(r.seen(r.layout.Packages), name), data, 0o644) {
			return false
		}
	}
	return true
}

// seedFile reads one file out of a package of the seed.
func (r *installation) seedFile(ctx context.Context, role lock.Role, name, member string) ([]byte, error) {
	for _, e := range r.lock.For(r.arch, role) {
		if e.Name != name {
			continue
		}
		cached, err := r.cached(ctx, []lock.Entry{e})
		if err != nil {
			return nil, err
		}
		return deb.ReadMember(ctx, cached[e.SHA256], member)
	}
	return nil, fmt.Errorf("lock: no package %q with role %q for %s", name, role, r.arch)
}

// cached returns the paths of verified copies of entries in the cache.
func (r *installation) cached(ctx context.Context, entries []lock.Entry) (map[string]string, error) {
	f, err := fetch.New(fetch.Options{CacheDir: r.CacheDir})
	if err != nil {
		return nil, err
	}
	return f.Fetch(ctx, r.files(entries, ""))
}
