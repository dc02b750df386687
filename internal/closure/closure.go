// Package closure finds out what belongs to a thing that was built in a prefix: its store paths and
// all that they refer to, by the prefix's own Nix, and nothing else.
//
// It reads store trees, and says in what order and how large they are; it never writes a file.
package closure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/nar"
	"bootstrap/internal/nixcmd"
)

// Closure is store paths with everything they refer to.
type Closure struct {
	Store  string   // the store directory as the paths have it
	Files  string   // where its files lie; Store, save for a diverted one
	Paths  []Path   // in the order of their names
	Wanted []string // the paths that were asked for, in that order; each is in Paths
}

// Options say whose closures.
type Options struct {
	Nix   nixcmd.Nix // the prefix's own
	Store string     // the store directory as that Nix knows it
	Files string     // where its files lie; Store if empty
	// OnLine gets each line that a build prints, in Nix's internal-json form; may be nil.
	OnLine func(line string)
}

// Build builds attributes of a file, or what the file itself is if none is named, and returns the
// store paths of the outputs.
func (o Options) Build(ctx context.Context, file string, attributes []string) ([]string, error) {
	args := []string{"build", "--no-link", "--print-out-paths", "--log-format", "internal-json", "-v", "--file", file}
	build := o.Nix.Command("nix", append(args, attributes...)...)
	build.OnLine = o.OnLine
	out, err := build.Output(ctx)
	if err != nil {
		return nil, err
	}
	paths := strings.Fields(string(out))
	if len(paths) == 0 {
		return nil, fault.New(fault.Usage, fmt.Errorf("%q: nothing was built of it", file), "name an attribute of the file that is a derivation")
	}
	return paths, nil
}

// StorePath returns the store path that a path is, leads to by symbolic links, or lies in.
func (o Options) StorePath(path string) (string, error) {
	inside, ok := strings.CutPrefix(path, o.Store+"/")
	if !ok {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			// A link into a store that lies elsewhere leads nowhere.
			if real, err = os.Readlink(path); err != nil {
				return "", fault.New(fault.Usage, err, "give a store path, or a link to one such as ./result")
			}
		}
		if inside, ok = strings.CutPrefix(real, o.Store+"/"); !ok {
			return "", fault.New(fault.Usage, fmt.Errorf("%q: is not in the store directory %q", path, o.Store),
				"give a store path of this prefix, a link to one such as ./result, or -f FILE")
		}
	}
	base, _, _ := strings.Cut(inside, "/")
	if err := CheckBase(base); err != nil {
		return "", fault.New(fault.Usage, fmt.Errorf("%q: %w", path, err), "give a store path, or a link to one such as ./result")
	}
	return o.Store + "/" + base, nil
}

// info is a store path as `nix path-info --json` of Nix 2.26 has it.
type info struct {
	NarHash    string   `json:"narHash"`
	NarSize    int64    `json:"narSize"`
	References []string `json:"references"`
	Deriver    string   `json:"deriver"`
	Signatures []string `json:"signatures"`
	CA         string   `json:"ca"`
}

// Of returns the closure of store paths.
func (o Options) Of(ctx context.Context, wanted []string) (*Closure, error) {
	if len(wanted) == 0 {
		return nil, fault.New(fault.Usage, errors.New("nothing was named that could be exported"),
			"give store paths, -f FILE with attributes, or --nix for the Nix of the prefix itself")
	}
	if !o.Nix.Registered(ctx, wanted...) {
		return nil, fault.New(fault.Usage, fmt.Errorf("%s: not all of it is valid in the store", strings.Join(wanted, " ")),
			"build it first, or give -f FILE with attributes")
	}
	out, err := o.Nix.Command("nix", append([]string{"path-info", "--json", "--recursive"}, wanted...)...).Output(ctx)
	if err != nil {
		return nil, err
	}
	infos := map[string]*info{}
	if err := json.Unmarshal(out, &infos); err != nil {
		return nil, fmt.Errorf("nix path-info: %w", err)
	}
	c := &Closure{Store: o.Store, Files: o.Files, Wanted: unique(wanted)}
	if c.Files == "" {
		c.Files = c.Store
	}
	for path, i := range infos {
		if i == nil {
			return nil, fmt.Errorf("nix path-info: %q is not valid", path)
		}
		p := Path{Path: path, NarSize: i.NarSize, Deriver: i.Deriver, References: slices.Clone(i.References), Signatures: i.Signatures, CA: i.CA}
		if p.NarHash, err = nar.Parse(i.NarHash); err != nil {
			return nil, fmt.Errorf("nix path-info: %q: %w", path, err)
		}
		if d, _, err := split(p.Deriver); err != nil || d != o.Store {
			p.Deriver = "" // of another store, or of a Nix that says it in another way
		}
		slices.Sort(p.References)
		c.Paths = append(c.Paths, p)
	}
	slices.SortFunc(c.Paths, byPath)
	if err := Check(c.Paths); err != nil {
		return nil, fmt.Errorf("nix path-info: %w", err)
	}
	for _, w := range c.Wanted {
		if c.Path(w) == nil {
			return nil, fmt.Errorf("nix path-info: %q is missing", w)
		}
	}
	return c, nil
}

func unique(paths []string) []string {
	var out []string
	for _, p := range paths {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// Path returns the path of that name; nil if the closure has none.
func (c *Closure) Path(path string) *Path {
	i, ok := slices.BinarySearchFunc(c.Paths, path, func(p Path, path string) int { return strings.Compare(p.Path, path) })
	if !ok {
		return nil
	}
	return &c.Paths[i]
}

// Bytes returns how large all of it is: the sum of the sizes that Nix has of the contents.
func (c *Closure) Bytes() int64 {
	var sum int64
	for _, p := range c.Paths {
		sum += p.NarSize
	}
	return sum
}

// Open opens the store directory for reading.
func (c *Closure) Open() (*os.Root, error) { return os.OpenRoot(c.Files) }

// Verify makes sure that each path has the contents that Nix has registered. Done is told how many
// bytes have been read since the last time.
func (c *Closure) Verify(ctx context.Context, root *os.Root, done func(int64)) error {
	for _, p := range c.Paths {
		if err := ctx.Err(); err != nil {
			return err
		}
		got, size, err := nar.Sum(root, p.Base())
		if err != nil {
			return err
		}
		if got != p.NarHash || size != p.NarSize {
			return fault.New(fault.Verify, fmt.Errorf("%q: has other contents than Nix has registered: %s, not %s", p.Path, got, p.NarHash),
				"somebody changed it; `nix store repair` or a build with --repair makes it anew")
		}
		done(size)
	}
	return nil
}
