package stages

import (
	"os"
	"slices"
	"strconv"
	"time"

	"bootstrap/internal/journal"
	"bootstrap/internal/loan"
	"bootstrap/internal/receipt"
)

// writeReceipt says what was installed, in a file of its own.
func (r *installation) writeReceipt() (*receipt.Receipt, error) {
	history, err := journal.Load(r.layout.Journal())
	if err != nil {
		return nil, err
	}
	r.history = history
	now := r.Now().UTC().Truncate(time.Second)
	rec := receipt.Receipt{
		Created: now, Updated: now, Installer: r.Installer, Layout: r.layout,
		NixVersion: r.version.String(), LockDigest: r.lock.Digest(), Hooks: r.hooks,
		Mode: r.mode(), Diverted: r.Diverted, Host: r.hostFacts(),
	}
	made := map[receipt.Made]bool{}
	old, err := receipt.Load(r.layout.Receipt())
	if err == nil {
		// A journal may have been lost since; what the old receipt knows stays known.
		rec.Created, rec.Made = old.Created, old.Made
		for _, m := range old.Made {
			made[m] = true
		}
		rec.Hooks = mergeHooks(old.Hooks, r.hooks)
	}
	rec.Borrowed = loan.Open(history, old)
	if name, last, ok := r.besides(); ok {
		rec.Stages = append(rec.Stages, receiptStage(name, last))
	}
	for _, s := range r.pipeline() {
		last, ok := r.lastOf(s, r.keys[s.name])
		if !ok || last.Event != journal.End {
			continue
		}
		rec.Stages = append(rec.Stages, receiptStage(s.name, last))
	}
	for _, record := range history.Created() {
		if m := (receipt.Made{Kind: string(record.Kind), Path: record.Path}); !made[m] {
			rec.Made = append(rec.Made, m)
		}
	}
	if err := receipt.Write(r.at(r.layout.Receipt()), rec); err != nil {
		return nil, err
	}
	return &rec, nil
}

// besides returns the record of a stage that is not in the pipeline of this run, and has its outputs
// there as ever: the relocation that the native nix comes from, where a toolchain was built since, and
// that toolchain, where the bundle is installed once more.
func (r *installation) besides() (string, journal.Record, bool) {
	switch {
	case r.Runtime:
		return "", journal.Record{}, false
	case r.From == nil:
		last, ok := r.history.Last(Relocate)
		return Relocate, last, ok && last.Event == journal.End && last.Output["nix"] == r.known(Native)["nix"]
	}
	last, ok := r.builtToolchain()
	return Toolchain, last, ok
}

func (r *installation) mode() string {
	if r.Runtime {
		return receipt.Runtime
	}
	return ""
}

func (r *installation) hostFacts() receipt.Host {
	place, _ := r.facts.Place("store")
	name, _ := os.Hostname()
	return receipt.Host{
		Name: name, Architecture: r.facts.Architecture, Kernel: r.facts.Kernel.Release,
		FileSystem: place.FileSystem, UID: r.facts.UID, UserNamespaces: r.facts.Namespaces.Work,
	}
}

// mergeHooks returns the old hooks and those of the new that are for other files.
func mergeHooks(old, made []receipt.Hook) []receipt.Hook {
	all := slices.Clone(old)
	for _, h := range made {
		if !slices.ContainsFunc(old, func(o receipt.Hook) bool { return o.File == h.File }) {
			all = append(all, h)
		}
	}
	return all
}

// receiptStage makes of a stage's last record what the receipt says of it.
func receiptStage(name string, last journal.Record) receipt.Stage {
	s := receipt.Stage{Name: name, Key: last.Key, Outputs: map[string]string{}}
	for k, v := range last.Output {
		switch k {
		case "seconds":
			s.Seconds, _ = strconv.ParseFloat(v, 64)
		case "bytes":
			s.Bytes, _ = strconv.ParseInt(v, 10, 64)
		case "summary":
		default:
			s.Outputs[k] = v
		}
	}
	return s
}

// remember finds out what earlier runs have made.
func (r *installation) remember() {
	for _, record := range r.history.Created() {
		r.made[record.Path] = true
	}
	if old, err := receipt.Load(r.layout.Receipt()); err == nil {
		for _, m := range old.Made {
			r.made[m.Path] = true
		}
	}
}
