package stages

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"bootstrap/internal/drv"
	"bootstrap/internal/fault"
	"bootstrap/internal/probe"
)

// Forecast is what building the Nix of a set comes to, by Nix's own words, less what is in the store.
type Forecast struct {
	Build   []string `json:"build"`   // derivations, by name
	Sources []string `json:"sources"` // of them those that fetch what is fixed by its hash
	Fetch   []string `json:"fetch"`   // store paths that caches have
	Bytes   int64    `json:"bytes"`   // to download for those
	There   int      `json:"there"`   // derivations whose outputs are in the store
}

// forecast has Nix say what it would do, in the store that has nothing yet, and leaves out what the prefix has.
func (s *scout) forecast(ctx context.Context) error {
	n, err := s.scoutNix(ctx)
	if err != nil {
		return err
	}
	dir, err := s.packages()
	if err != nil {
		return err
	}
	settings, err := s.r.sourceSettings(ctx)
	if err != nil {
		return err
	}
	n.Options = append(slices.Clone(n.Options), asOptions(settings)...)
	var said dryRun
	cmd := n.Command("nix", "build", "--dry-run", "--no-link", "--file", dir, "nix")
	cmd.OnLine = said.line
	if err := cmd.Run(ctx); err != nil {
		return fault.New(fault.Usage, fmt.Errorf("package set %q: its Nix cannot be evaluated for this prefix: %w", s.set.From, err), "the words above are Nix's own")
	}
	s.set.Forecast, err = s.less(ctx, said)
	return err
}

// less makes a forecast of what Nix said, less what the prefix has.
func (s *scout) less(ctx context.Context, said dryRun) (*Forecast, error) {
	f := &Forecast{Build: []string{}, Sources: []string{}, Fetch: []string{}, Bytes: said.bytes}
	f.Fetch = append(f.Fetch, said.fetch...)
	var all []*drv.Derivation
	var outputs []string
	for _, path := range said.build {
		text, err := os.ReadFile(filepath.Join(s.root(), path))
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(filepath.Base(path), ".drv")
		d, err := drv.Parse(name[min(len(name), drv.HashLen+1):], text)
		if err != nil {
			return nil, fmt.Errorf("derivation %q: %w", path, err)
		}
		all = append(all, d)
		for _, o := range d.Outputs {
			if o.Path != "" {
				outputs = append(outputs, o.Path)
			}
		}
	}
	missing, err := s.missing(ctx, outputs)
	if err != nil {
		return nil, err
	}
	for _, d := range all {
		if !slices.ContainsFunc(d.Outputs, func(o drv.Output) bool { return o.Path == "" || missing[o.Path] }) {
			f.There++
			continue
		}
		f.Build = append(f.Build, d.Name)
		if kind, err := d.Kind(); err == nil && kind == drv.FixedOutput {
			f.Sources = append(f.Sources, d.Name)
		}
	}
	return f, nil
}

// missing returns those of the store paths that are not valid in the prefix. One that cannot be asked has none.
func (s *scout) missing(ctx context.Context, paths []string) (map[string]bool, error) {
	if n, ok := s.r.anyNix(ctx, Host); ok {
		var err error
		if paths, err = n.Invalid(ctx, paths); err != nil {
			return nil, err
		}
	}
	missing := map[string]bool{}
	for _, path := range paths {
		missing[path] = true
	}
	return missing, nil
}

// dryRun reads what `nix build --dry-run` prints.
// Nix 2.26, src/libmain/shared.cc, printMissing.
type dryRun struct {
	build, fetch []string
	bytes        int64
	into         *[]string
}

var willFetch = regexp.MustCompile(`^th(?:is|ese).* paths? will be fetched \(([0-9.]+) (KiB|MiB|GiB|B) download`)

func (d *dryRun) line(line string) {
	switch m := willFetch.FindStringSubmatch(line); {
	case m != nil:
		d.into = &d.fetch
		n, _ := strconv.ParseFloat(m[1], 64)
		d.bytes += int64(n * map[string]float64{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[m[2]])
	case strings.HasPrefix(line, "th") && strings.HasSuffix(line, "will be built:"):
		d.into = &d.build
	case strings.HasPrefix(line, "  /") && d.into != nil:
		*d.into = append(*d.into, strings.TrimSpace(line))
	default:
		d.into = nil
	}
}

// Sentence says what a forecast comes to.
func (f *Forecast) Sentence() string {
	text := fmt.Sprintf("%d derivations, of which %d fetch sources", len(f.Build), len(f.Sources))
	if len(f.Fetch) > 0 {
		text += fmt.Sprintf("; %d paths from caches, %s", len(f.Fetch), probe.Size(f.Bytes))
	}
	if f.There > 0 {
		text += fmt.Sprintf("; %d are built already", f.There)
	}
	return text
}
