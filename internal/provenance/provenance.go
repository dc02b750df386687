// Package provenance says in a form that other programs read what an installation was made from:
// an in-toto statement with SLSA provenance.
//
// See https://github.com/in-toto/attestation/blob/v1.1.0/spec/v1/statement.md and
// https://slsa.dev/spec/v1.0/provenance for the fields. It signs nothing, and asks nobody: what
// it is given is what it says.
package provenance

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"bootstrap/internal/lock"
	"bootstrap/internal/receipt"
)

// The types that statements have, by the names that others know them by, and by ours.
const (
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateType = "https://slsa.dev/provenance/v1"
	BuildType     = "urn:bootstrap:prefix:v1"
	BuilderID     = "urn:bootstrap:installer"
)

// Names of digests: sha256 is of a file's bytes, narSha256 of a store path's, in Nix's archive format.
const (
	sha256Digest = "sha256"
	narDigest    = "narSha256"
)

// Statement is what was made, and from what.
type Statement struct {
	Type          string     `json:"_type"`
	Subject       []Resource `json:"subject"` // store paths, by name
	PredicateType string     `json:"predicateType"`
	Predicate     Predicate  `json:"predicate"`
}

// Resource is a file or a store path.
type Resource struct {
	Name   string            `json:"name"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest"` // in lower-case hexadecimal
}

// Predicate is SLSA provenance.
type Predicate struct {
	BuildDefinition BuildDefinition `json:"buildDefinition"`
	RunDetails      RunDetails      `json:"runDetails"`
}

// BuildDefinition is everything that the outputs depend on.
type BuildDefinition struct {
	BuildType            string     `json:"buildType"`
	ExternalParameters   Options    `json:"externalParameters"`
	InternalParameters   Internal   `json:"internalParameters"`
	ResolvedDependencies []Resource `json:"resolvedDependencies"` // by name
}

// Options are those that change what is built.
type Options struct {
	NixVersion string `json:"nix_version"`
	Store      string `json:"store"`
	State      string `json:"state"`
	Log        string `json:"log"`
	Conf       string `json:"conf"`
	Mode       string `json:"mode,omitempty"` // as in the receipt
}

// Internal is what the host has decided.
type Internal struct {
	Architecture string `json:"architecture"` // as Debian calls it
	// Caches are those that outputs were taken from instead of being built here, by stage.
	Caches map[string]string `json:"caches,omitempty"`
}

// RunDetails is about this one installation.
type RunDetails struct {
	Builder  Builder  `json:"builder"`
	Metadata Metadata `json:"metadata"`
}

// Builder is the installer.
type Builder struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version"`
}

// Metadata is when it was.
type Metadata struct {
	FinishedOn time.Time `json:"finishedOn"` // when the prefix was first complete
}

// Facts are what a statement is made of.
type Facts struct {
	Receipt *receipt.Receipt
	Lock    *lock.Lock        // the one that the prefix was built from
	Files   map[string]string // digests of the package set's files, by name; patches are in patches/
	Outputs []Output
}

// Output is a store path that a stage has made.
type Output struct {
	Stage string `json:"stage"`
	Name  string `json:"name"`
	Path  string `json:"path"`
	NAR   string `json:"nar_hash"` // as Nix prints it: "sha256-" and base64
}

// New makes a statement. The same facts give the same statement.
func New(f Facts) (*Statement, error) {
	r := f.Receipt
	s := &Statement{Type: StatementType, PredicateType: PredicateType, Subject: []Resource{}}
	for _, o := range f.Outputs {
		digest, err := Hexadecimal(o.NAR)
		if err != nil {
			return nil, fmt.Errorf("store path %q: %w", o.Path, err)
		}
		s.Subject = append(s.Subject, Resource{
			Name: o.Stage + "/" + o.Name, URI: "file://" + o.Path, Digest: map[string]string{narDigest: digest},
		})
	}
	deps := []Resource{{Name: "lock.json", Digest: map[string]string{sha256Digest: f.Lock.Digest()}}}
	for _, e := range f.Lock.For(r.Host.Architecture) {
		deps = append(deps, Resource{Name: "seed/" + e.Path, Digest: map[string]string{sha256Digest: e.SHA256}})
	}
	for name, digest := range f.Files {
		deps = append(deps, Resource{Name: "packages/" + name, Digest: map[string]string{sha256Digest: digest}})
	}
	byName := func(a, b Resource) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortFunc(s.Subject, byName)
	slices.SortFunc(deps, byName)
	s.Predicate = Predicate{
		BuildDefinition: BuildDefinition{
			BuildType: BuildType,
			ExternalParameters: Options{
				NixVersion: r.NixVersion, Store: r.Layout.Store, State: r.Layout.State,
				Log: r.Layout.Log, Conf: r.Layout.Conf, Mode: r.Mode,
			},
			InternalParameters:   Internal{Architecture: r.Host.Architecture, Caches: caches(r)},
			ResolvedDependencies: deps,
		},
		RunDetails: RunDetails{
			Builder:  Builder{ID: BuilderID, Version: map[string]string{"bootstrap": r.Installer}},
			Metadata: Metadata{FinishedOn: r.Created},
		},
	}
	return s, nil
}

// caches returns which stages took their outputs from a cache, and from which.
func caches(r *receipt.Receipt) map[string]string {
	from := map[string]string{}
	for _, s := range r.Stages {
		if url := s.Outputs["cache"]; url != "" {
			from[s.Name] = url
		}
	}
	return from
}

// Hexadecimal returns the digits of a hash as Nix prints it: "sha256-" and base64, or "sha256:"
// and hexadecimal.
func Hexadecimal(hash string) (string, error) {
	const bytes = 32
	if text, found := strings.CutPrefix(hash, "sha256-"); found {
		if sum, err := base64.StdEncoding.DecodeString(text); err == nil && len(sum) == bytes {
			return hex.EncodeToString(sum), nil
		}
	}
	if text, found := strings.CutPrefix(hash, "sha256:"); found {
		if sum, err := hex.DecodeString(text); err == nil && len(sum) == bytes {
			return hex.EncodeToString(sum), nil
		}
	}
	return "", fmt.Errorf("hash %q: not a sha256 that is known how to read", hash)
}
