package stages

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/loan"
	"bootstrap/internal/lock"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/receipt"
)

// wasComplete reports whether the journal says that a native nix was installed and proved, by a
// release that knew no generations.
func (r *installation) wasComplete() bool {
	installed, proved := false, false
	for _, rec := range r.history.Records {
		switch {
		case rec.Event == journal.Note && rec.Text == GenerationNote:
			return false
		case rec.Event != journal.End:
		case rec.Stage == Install:
			installed = true
		case rec.Stage == Prove:
			proved = installed
		}
	}
	return proved
}

// otherThanRecorded is [installation.otherThanInstalled] for what has no receipt that can be read: by
// the Nix that is in the profile, and what the journal says of it.
func (r *installation) otherThanRecorded() error {
	program, err := filepath.EvalSymlinks(nixcmd.Program(r.layout.DefaultProfile()))
	if err != nil {
		return nil // it is gone, too: there is nothing that could be lost
	}
	known, same := false, false
	for _, rec := range r.history.Records {
		if rec.Stage == Native && rec.Event == journal.End && nixcmd.Program(rec.Output["nix"]) == program {
			known = true
			same = same || rec.Key == r.keys[Native]
		}
	}
	digest, err := r.installedLock()
	if !known || same && (err != nil || digest == r.lock.Digest()) {
		return nil
	}
	return fault.New(fault.Usage,
		fmt.Errorf("prefix %q: its receipt cannot be read, and this would make something else than the journal says is installed there", r.layout.Store),
		"the program and the lock that installed it write the receipt anew; `bootstrap upgrade` makes a new generation and keeps this one")
}

// installedLock returns the digest of the lock in the package set.
func (r *installation) installedLock() (string, error) {
	data, err := readFile(filepath.Join(r.layout.Packages, "lock.json"))
	if err != nil {
		return "", err
	}
	l, err := lock.Parse(data)
	if err != nil {
		return "", err
	}
	return l.Digest(), nil
}

// lostReceipt returns what the receipt of an installation of an earlier release said, as far as that
// can be told by the journal and by what is there.
func (r *installation) lostReceipt(ctx context.Context) (*receipt.Receipt, error) {
	rec := &receipt.Receipt{
		Updated: r.Now().UTC().Truncate(time.Second), Installer: r.Installer, Layout: r.layout,
		Host: r.hostFacts(), Borrowed: loan.Open(r.history, nil),
	}
	for _, name := range []string{Fetch, Host, Relocate, Toolchain, Bootstrap, Native, Configure, Install, Prove} {
		last, ok := r.history.Last(name)
		if !ok || last.Event != journal.End {
			continue
		}
		rec.Stages = append(rec.Stages, receiptStage(name, last))
		rec.Created = last.Time
	}
	for _, record := range r.history.Created() {
		rec.Made = append(rec.Made, receipt.Made{Kind: string(record.Kind), Path: record.Path})
	}
	native, _ := rec.Stage(Native)
	var err error
	if rec.NixVersion, err = r.versionOf(ctx, Native, nixcmd.Program(native.Outputs["nix"])); err != nil {
		return nil, err
	}
	rec.LockDigest, err = r.installedLock()
	return rec, err
}
