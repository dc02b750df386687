package doctor

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bootstrap/internal/probe"
)

// Marker begins the name of each probe directory.
const Marker = ".bootstrap-doctor-"

// Try writes, locks, links and runs, in probe directories that are gone when it returns, also
// when ctx ends it. There is one for each file system that the store, the state and the
// work directory are on, and one in the directory for temporary files.
// Where nothing can be written, or no large file, nothing is tried: [Look] refuses that already.
func Try(ctx context.Context, o Options) []Check {
	if o.fileSize().Verdict == Refused {
		return nil // SIGXFSZ would end this process, and leave everything behind
	}
	o.System = o.System.defaults()
	var checks []Check
	seen := map[uint64]bool{}
	for _, noun := range []string{"store", "state", "work"} {
		p, known := o.Facts.Place(noun)
		if !known || !p.Writable || p.ReadOnly || seen[p.Device] {
			continue
		}
		suffix := ""
		if len(seen) > 0 {
			suffix = " (" + noun + ")"
		}
		seen[p.Device] = true
		need := int64(0)
		if noun == "store" {
			need = o.Need.Bytes
		}
		for _, c := range o.tryPlace(ctx, p, need) {
			c.Name += suffix
			checks = append(checks, c)
		}
	}
	if len(o.Self) > 0 && writable(o.tmp()) {
		checks = append(checks, o.tryTemporary(ctx))
	}
	return checks
}

// tryPlace makes a probe directory for one place, and tries all there.
func (o Options) tryPlace(ctx context.Context, p probe.Place, need int64) []Check {
	parent := p.Ancestor
	// What is in a store directory is the garbage collector's.
	if up := filepath.Dir(parent); parent == o.files().Store && sameDevice(parent, up) && writable(up) {
		parent = up
	}
	dir, err := probeDirectory(parent)
	if err != nil {
		c := ok("write", "everything is written there", "%v", err)
		return []Check{c.but(Refused, "choose another "+p.Flag)}
	}
	defer os.RemoveAll(dir)
	checks := []Check{o.trySpace(ctx, dir, p, need)}
	if checks[0].Verdict == Refused {
		return checks
	}
	for _, try := range []func(context.Context, string) Check{
		o.tryLinks, o.trySync, o.tryCase, o.tryAttributes,
	} {
		if ctx.Err() != nil {
			return checks
		}
		checks = append(checks, try(ctx, dir))
	}
	if len(o.Self) > 0 && ctx.Err() == nil {
		checks = append(checks, o.tryLocks(ctx, dir), o.tryExec(ctx, dir, p.Flag))
	}
	return checks
}

// probeDirectory makes a hidden directory, and removes what killed runs have left beside it.
func probeDirectory(parent string) (string, error) {
	left, _ := filepath.Glob(filepath.Join(globQuoted(parent), Marker+"*"))
	for _, dir := range left {
		// What another run is at work in is young.
		if info, err := os.Lstat(dir); err == nil && info.IsDir() && time.Since(info.ModTime()) > time.Hour {
			_ = os.RemoveAll(dir) // not being able to is no reason not to go on
		}
	}
	return os.MkdirTemp(parent, Marker)
}

// globQuoted returns a path as a pattern that matches it alone.
func globQuoted(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func sameDevice(a, b string) bool {
	_, ia := nearest(a)
	_, ib := nearest(b)
	sa, sb := owner(ia), owner(ib)
	return sa != nil && sb != nil && sa.Dev == sb.Dev
}
