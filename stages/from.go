package stages

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/nixbundle"
	"bootstrap/internal/receipt"
	"bootstrap/internal/transplant"
)

// From is a bundle to install from, and what it is known by.
type From struct {
	Location string // an absolute path, or an address
	Shown    string // the same without a password
	Key      *nixbundle.PublicKey
	SHA256   string // of the file; one of the two is needed

	// Announced is the head of it, once it was read; see [nixbundle.Source.Announce].
	Announced *nixbundle.Announced
	// body is the digest that the head has, where that is known from an earlier run.
	body string
}

// Origin is what a plan says of a bundle.
type Origin struct {
	Location string `json:"location"`
	SHA256   string `json:"sha256,omitempty"` // of the file, if it is known by that
	Key      string `json:"key,omitempty"`    // that it has to be signed by
	Store    string `json:"store,omitempty"`  // the store directory that it was made at
	Bytes    int64  `json:"bytes,omitempty"`  // of the file but for its head
}

func (f *From) origin() *Origin {
	if f == nil {
		return nil
	}
	o := &Origin{Location: f.Shown, SHA256: f.SHA256, Key: f.keyText()}
	if f.Announced != nil {
		o.Store, o.Bytes = f.Announced.Head.Store, f.Announced.Head.Size
	}
	return o
}

// id returns what the bundle is known by in keys.
func (f *From) id() string {
	if f.Announced != nil {
		return f.Announced.Head.SHA256
	}
	return f.body
}

func (f *From) keyText() string {
	if f.Key == nil {
		return ""
	}
	return f.Key.String()
}

// source returns the bundle for reading.
func (f *From) source(r *installation, stage string) *nixbundle.Source {
	return &nixbundle.Source{
		Location: f.Location, Shown: f.Shown, Key: f.Key, SHA256: f.SHA256,
		CacheDir: r.CacheDir, Transport: r.Transport, Sink: r.Sink, Stage: stage, Now: r.Now,
	}
}

// Announce reads the head of the bundle, without writing anything.
func (o *Options) Announce(ctx context.Context) (err error) {
	r := &installation{Options: *o}
	o.From.Announced, err = o.From.source(r, Relocate).Announce(ctx)
	return err
}

// recordFrom returns where a prefix was relocated from, by the records of the run that did it; nil if
// it was not, or has been built since.
func (r *installation) recordFrom() *From {
	if rec, err := receipt.Load(r.layout.Receipt()); err == nil {
		if _, built := rec.Stage(Toolchain); built {
			return nil
		}
	}
	// A toolchain that was begun for another generation is none of this one's.
	key, err := r.toolsStage().key(r, "")
	if _, begun := r.history.LastWith(Toolchain, key); begun || err != nil {
		return nil
	}
	last, ok := r.history.Last(Relocate)
	if !ok || last.Event != journal.End {
		return nil
	}
	return fromOutputs(last.Output)
}

func fromOutputs(out outputs) *From {
	f := &From{Location: out["from"], Shown: out["from"], SHA256: out["sha256"], body: out["bundle"]}
	if key, err := nixbundle.ParsePublicKey(out["key"]); err == nil {
		f.Key = key
	}
	return f
}

// refuseFrom says why a bundle cannot be installed here.
func (r *installation) refuseFrom() []*fault.Error {
	if r.From == nil || r.From.Announced == nil {
		return nil
	}
	err := r.refuseBundle(&r.From.Announced.Head)
	if err == nil {
		return nil
	}
	if f, ok := err.(*fault.Error); ok {
		return []*fault.Error{f}
	}
	return []*fault.Error{fault.New(fault.Unfit, err, "leave --from out to build a Nix here")}
}

// Filled reports whether the prefix is shorter than that of the bundle, so that its directories are
// filled up with separators where they are compiled in.
func (p *Plan) Filled() bool {
	from := p.run.From
	if from == nil || from.Announced == nil {
		return false
	}
	filled, err := transplant.Fit(&from.Announced.Head, p.Layout)
	return err == nil && filled
}

// notInBundle are the files of a package set that a bundle does not depend on: the lock has a digest
// of its own, and the directories are those of each prefix.
func notInBundle() []string { return []string{"lock.json", "directories.json", seedShell + "/"} }

// PackageSet returns one digest for the files of a package set, by the digest of each. Files that no
// bundle depends on are left out.
func PackageSet(sums map[string]string) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		if !slices.ContainsFunc(notInBundle(), func(skip string) bool { return strings.HasPrefix(name, skip) }) {
			fmt.Fprintf(h, "%s %s\n", sums[name], name)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
