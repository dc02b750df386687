// Package nixconf renders the nix.conf of a prefix from what was found out about the host.
//
// It decides nothing: whether builds can be sandboxed and which caches answer is found out
// elsewhere. It never reads or writes a file of a prefix.
package nixconf

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"

	"bootstrap/internal/prefix"
	"bootstrap/templates"
)

// CustomName is the file beside nix.conf that is the user's own. It is read last.
// The installer never writes it.
const CustomName = "nix.custom.conf"

// localFeature is what Nix calls its stores that are opened without being written to.
// https://nix.dev/manual/nix/2.26/development/experimental-features#xp-feature-read-only-local-store
const localFeature = "read-only-local-store"

// Substituter is a binary cache and the key it signs with.
type Substituter struct {
	URL       string
	PublicKey string // "<name>:<base 64>"
}

// Public returns the public cache, in the form that works for a store directory other than its own:
// paths that are fixed by their hash are substituted, everything else is not asked for.
func Public() Substituter {
	return Substituter{
		URL:       "https://cache.nixos.org?store=/nix/store",
		PublicKey: "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=",
	}
}

// Options says what goes into nix.conf. Layout is required. The zero value of the rest is a
// configuration without sandbox, caches and filter, which works on every host.
// A reason completes the sentence in the comment above its setting; it may be empty
// and may be the text of an error.
type Options struct {
	Layout prefix.Layout

	// Runtime is for a Nix that is made for another store directory and told of this one by its
	// command line. It has no package set, and no shell for sandboxes compiled in.
	Runtime      bool
	SandboxShell string // absolute path of a static shell; the compiled one if empty

	Sandbox       bool
	SandboxReason string

	FilterSyscalls bool
	FilterReason   string // why not

	Substituters       []Substituter // those that answered
	SubstitutersReason string        // why there are none

	// Local is the URL of another Nix's store on this machine that is asked for sources, read-only.
	// It has no key: what is fixed by its hash needs no signature, and nothing else is asked for.
	Local       string
	LocalReason string // why there is none

	// Readers is for a store that others read, and one account writes to.
	Readers bool

	CABundle      string // absolute path; Layout.Certificates if empty
	FlakeRegistry string // absolute path of a registry in the prefix; none if empty
	Nixpkgs       string // absolute path of what <nixpkgs> stands for; nothing if empty

	// NoWAL is for a store on a network file system. It must not change while the store exists.
	NoWAL       bool
	NoWALReason string

	MaxJobs int // builds at a time; Nix's default (one) if 0
	Cores   int // cores per build; Nix's default (all) if 0
}

// Render returns the text of nix.conf.
// It fails if a value cannot be written there so that Nix reads it back as it is.
func Render(o Options) ([]byte, error) {
	if o.CABundle == "" && o.Layout.Conf != "" {
		o.CABundle = o.Layout.Certificates()
	}
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("render nix.conf: %w", err)
	}
	t, err := template.New("nix.conf").Option("missingkey=error").ParseFS(templates.Conf(), "nix.conf")
	if err != nil {
		return nil, fmt.Errorf("render nix.conf: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, o.data()); err != nil {
		return nil, fmt.Errorf("render nix.conf: %w", err)
	}
	return b.Bytes(), nil
}

func (o Options) data() map[string]any {
	return map[string]any{
		"Store":              o.Layout.Store,
		"BuildDir":           o.Layout.BuildDir(),
		"Packages":           o.Layout.Packages,
		"Custom":             CustomName,
		"Certificates":       o.CABundle,
		"FlakeRegistry":      o.FlakeRegistry,
		"Nixpkgs":            o.Nixpkgs,
		"Runtime":            o.Runtime,
		"Sandbox":            o.Sandbox,
		"SandboxShell":       o.SandboxShell,
		"SandboxReason":      sentence(o.SandboxReason),
		"FilterSyscalls":     o.FilterSyscalls,
		"FilterReason":       sentence(o.FilterReason),
		"Substituters":       o.Substituters,
		"SubstitutersReason": sentence(o.SubstitutersReason),
		"Local":              o.Local,
		"LocalReason":        sentence(o.LocalReason),
		"LocalFeature":       localFeature,
		"Public":             Public(),
		"Borrowed":           filepath.Base(o.Layout.BorrowedConf()),
		"Machines":           o.Layout.Machines(),
		"Readers":            o.Readers,
		"Writer":             filepath.Base(o.Layout.WriterConf()),
		"Caches":             filepath.Base(o.Layout.CachesConf()),
		"NoWAL":              o.NoWAL,
		"NoWALReason":        sentence(o.NoWALReason),
		"MaxJobs":            o.MaxJobs,
		"Cores":              o.Cores,
	}
}

func (o Options) check() error {
	for _, p := range []struct{ what, path string }{
		{"store directory", o.Layout.Store},
		{"state directory", o.Layout.State},
		{"package set", o.Layout.Packages},
		{"certificates", o.CABundle},
	} {
		if err := checkPath(p.what, p.path); err != nil {
			return err
		}
	}
	for _, p := range []struct{ what, path string }{
		{"flake registry", o.FlakeRegistry},
		{"nixpkgs", o.Nixpkgs},
		{"shell for sandboxes", o.SandboxShell},
	} {
		if p.path == "" {
			continue
		}
		if err := checkPath(p.what, p.path); err != nil {
			return err
		}
	}
	for _, s := range o.Substituters {
		if err := s.check(); err != nil {
			return err
		}
	}
	if o.Local != "" {
		if err := checkWord("local store", o.Local); err != nil {
			return err
		}
	}
	if o.MaxJobs < 0 || o.Cores < 0 {
		return fmt.Errorf("jobs %d, cores %d: must not be negative", o.MaxJobs, o.Cores)
	}
	return nil
}

func checkPath(what, path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%s %q: is not an absolute path", what, path)
	}
	return checkWord(what, path)
}

// checkWord refuses what Nix's reader would not take for one word: it cuts a line at "#"
// and splits it at white space, and has no quotes (libutil/config.cc, parseConfigFiles).
func checkWord(what, word string) error {
	switch {
	case word == "":
		return fmt.Errorf("%s: is empty", what)
	case !utf8.ValidString(word):
		return fmt.Errorf("%s %q: is not valid UTF-8", what, word)
	case strings.Contains(word, "#"):
		return fmt.Errorf("%s %q: contains \"#\", which begins a comment", what, word)
	case strings.ContainsFunc(word, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return fmt.Errorf("%s %q: contains white space or a control character", what, word)
	}
	return nil
}

// sentence makes any text fit for one line of a comment, without a full stop of its own.
func sentence(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return strings.TrimRight(strings.Join(strings.Fields(s), " "), ".")
}
