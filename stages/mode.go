package stages

import (
	"fmt"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
)

// installedMode returns the mode that earlier runs have installed in, or begun to, and the store
// directory that Nix knows there, if that is another one than the files lie in.
func (r *installation) installedMode() (runtime bool, diverted string) {
	for i := len(r.history.Records) - 1; i >= 0; i-- {
		switch rec := r.history.Records[i]; {
		case rec.Stage == Toolchain, rec.Stage == Relocate:
			return false, ""
		case rec.Stage == Runtime && rec.Event == journal.End:
			if rec.Output["store"] != r.layout.Store {
				diverted = rec.Output["store"]
			}
			return true, diverted
		case rec.Stage == Runtime:
			runtime = true
		}
	}
	return runtime, ""
}

// checkMode refuses to go back from a native nix, and to have one store's paths in another.
func (r *installation) checkMode() error {
	if native, ok := r.history.Last(Native); r.Runtime && ok && native.Event == journal.End {
		return fault.New(fault.Usage, fmt.Errorf("prefix %q: has a native nix, which needs no runtime options", r.layout.Store),
			"leave --runtime out; it would only take away")
	}
	runtime, diverted := r.installedMode()
	if !runtime || diverted == r.Diverted {
		return nil
	}
	if diverted == "" {
		diverted = r.layout.Store
	}
	return fault.New(fault.Usage, fmt.Errorf("prefix %q: what is in there was built for %q", r.layout.Store, diverted),
		fmt.Sprintf("give the flags it was installed with, or uninstall it first: bootstrap uninstall --prefix %s", r.layout.Store))
}

// refuseDiverted says why files cannot lie elsewhere here: builds, and all that runs what they
// made, have to see them where Nix thinks they are.
func (r *installation) refuseDiverted() []*fault.Error {
	if r.Diverted == "" || r.facts.Namespaces.Sandbox() {
		return nil
	}
	return []*fault.Error{fault.New(fault.Unfit,
		fmt.Errorf("store %q with its files in %q: that takes user namespaces: %s",
			r.Diverted, strings.TrimSuffix(r.layout.Store, r.Diverted), r.facts.Namespaces.Reason),
		"leave --root out, and choose a prefix that you may write to")}
}
