package transplant

import (
	"errors"
	"fmt"
	"path/filepath"

	"bootstrap/internal/drv"
	"bootstrap/internal/fault"
	"bootstrap/internal/nixbundle"
	"bootstrap/internal/prefix"
	"bootstrap/internal/relocate"
)

// directories returns those that a Nix has compiled in: where they were, and where they are going to be.
func directories(h *nixbundle.Head, l prefix.Layout) (store relocate.Dir, others []relocate.Dir) {
	return relocate.Dir{From: h.Store, To: l.Store},
		[]relocate.Dir{{From: h.State, To: l.State}, {From: h.Log, To: l.Log}, {From: h.Conf, To: l.Conf}}
}

// same reports whether nothing has to be moved.
func same(h *nixbundle.Head, l prefix.Layout) bool {
	return h.Store == l.Store && h.State == l.State && h.Log == l.Log && h.Conf == l.Conf
}

// Fit refuses directories that the paths of a bundle cannot be moved to: longer ones, and such that
// would be mistaken for something else. Filled tells that one is shorter, and is going to be filled
// up with separators.
func Fit(h *nixbundle.Head, l prefix.Layout) (filled bool, err error) {
	if same(h, l) {
		return false, nil
	}
	if err := drv.Distinctive(drv.Dir(h.Store)); err != nil {
		return false, fault.New(fault.Unfit, fmt.Errorf("bundle: it was made at %q: %w", h.Store, err),
			"only its own prefix will do: --prefix "+h.Store)
	}
	store, others := directories(h, l)
	for _, d := range append([]relocate.Dir{store}, others...) {
		filled = filled || len(d.To) < len(d.From)
		if (d.From == d.To) != (store.From == store.To) {
			return false, fault.New(fault.Unfit, fmt.Errorf("bundle: %q stays where it is, and others do not", d.From),
				"leave --state-dir, --log-dir and --conf-dir out, so that they go with the prefix")
		}
	}
	_, err = relocate.NewMap(relocate.MapOptions{Store: store, Dirs: others, Shorter: true})
	var length *relocate.LengthError
	if errors.As(err, &length) {
		return false, tooLong(h, l, length)
	}
	if err != nil {
		return false, fault.New(fault.Unfit, err, "choose another prefix, of "+lengths(h)+" bytes")
	}
	return filled, nil
}

func lengths(h *nixbundle.Head) string { return fmt.Sprint(len(h.Store)) }

func tooLong(h *nixbundle.Head, l prefix.Layout, e *relocate.LengthError) error {
	what, to := "store directory", e.Dir.To
	hint := fmt.Sprintf("a store directory of %d bytes fits, such as %s; --prefix auto finds one", len(h.Store), Example(h.Store, filepath.Dir(l.Root)))
	if e.Dir.From != h.Store {
		what = "directory"
		hint = "leave --state-dir, --log-dir and --conf-dir out, so that they go with the prefix"
	}
	return fault.New(fault.Unfit, fmt.Errorf("%s %q: has %d bytes, and a Nix made at %q fits where there are at most %d",
		what, to, len(to), e.Dir.From, len(e.Dir.From)), hint)
}
