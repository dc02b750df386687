package resolve_test

import (
	"errors"
	"strings"
	"testing"

	"bootstrap/internal/deb"
	"bootstrap/internal/debtest"
	"bootstrap/internal/fault"
	"bootstrap/internal/lock"
	"bootstrap/internal/resolve"
)

// A lock with a package that a builder must not unpack is never made.
func TestUpdateVets(t *testing.T) {
	for _, role := range lock.Unpacked() {
		t.Run(string(role), func(t *testing.T) {
			w := newWorld(t, `{"`+string(role)+`": {"suite": "trixie", "packages": ["a"]}}`)
			w.pkg("a 1", "Depends: b")
			w.pkg("b 1", debtest.Hard("./b", "/etc/passwd"))
			l, err := w.update()
			var entry *deb.EntryError
			if l != nil || !errors.As(err, &entry) || fault.KindOf(err) != fault.Verify || !strings.Contains(err.Error(), `"b_1_amd64.deb"`) {
				t.Errorf("got %v, %v", l, err)
			}
		})
	}
}

func TestVetLeavesOutWhatIsKnown(t *testing.T) {
	w := newWorld(t, toolchain(`"a"`, ""))
	w.pkg("a 1", "Depends: b")
	w.pkg("b 1", debtest.Lnk("./s", "/run"))
	known := w.mustUpdate()
	vet := func(l *lock.Lock) error {
		w.fetched = nil
		return resolve.Vet(t.Context(), resolve.VetOptions{Lock: l, Arch: "amd64", Known: known, Fetch: w.fetch})
	}
	if err := vet(known); err != nil || len(w.fetched) > 0 {
		t.Errorf("the same lock: %v, fetched %q", err, w.fetched)
	}
	moved := *known
	moved.Entries = []lock.Entry{known.Entries[0]}
	moved.Entries[0].Roles = []lock.Role{lock.Patchelf}
	if err := vet(&moved); err != nil || len(w.fetched) != 1 {
		t.Errorf("with a package of another role: %v, fetched %q", err, w.fetched)
	}

	// A known package may be in the way of a new one.
	w.archive.Suite("trixie").Packages = nil
	w.pkg("a 2", "Depends: b", debtest.Reg("./s/evil", ""))
	w.pkg("b 1", debtest.Lnk("./s", "/run"))
	w.archive.Publish()
	w.opts.Known = known
	if _, err := w.update(); fault.KindOf(err) != fault.Verify {
		t.Errorf("with a new package: %v", err)
	}
}
