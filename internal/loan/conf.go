package loan

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"bootstrap/internal/fault"
	"bootstrap/internal/nixconf"
	"bootstrap/internal/prefix"
	"bootstrap/internal/receipt"

	"github.com/google/renameio/v2"
)

// Included makes sure that the nix.conf of a prefix reads what [Configure] writes.
func Included(l prefix.Layout) error {
	conf, err := os.ReadFile(l.NixConf())
	if err != nil {
		return fault.New(fault.Unfit, fmt.Errorf("read %q: %w", l.NixConf(), cause(err)), again)
	}
	if nixconf.Includes(conf, filepath.Base(l.BorrowedConf())) {
		return nil
	}
	return fault.New(fault.Unfit, fmt.Errorf("%q: does not include %q", l.NixConf(), filepath.Base(l.BorrowedConf())), again)
}

const again = "run the same bootstrap command as for the installation; it writes the file anew"

// Configure makes builds see what is borrowed, and nothing else of other stores. Without loans there
// is no file. The directory it is in exists.
func Configure(l prefix.Layout, loans []receipt.Loan) error {
	path := l.BorrowedConf()
	if len(loans) == 0 {
		return missingIsFine(os.Remove(path))
	}
	text, err := conf(loans)
	if err != nil {
		return err
	}
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, text) {
		return nil
	}
	// Without a directory given, renameio asks the environment for one.
	if err := renameio.WriteFile(path, text, 0o644, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o644)); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	return nil
}

// Configured reports whether builds see what is borrowed.
func Configured(l prefix.Layout, loans []receipt.Loan) bool {
	have, err := os.ReadFile(l.BorrowedConf())
	if len(loans) == 0 {
		return errors.Is(err, os.ErrNotExist)
	}
	text, terr := conf(loans)
	return err == nil && terr == nil && bytes.Equal(have, text)
}

func conf(loans []receipt.Loan) ([]byte, error) {
	var all []nixconf.Borrowed
	for _, l := range loans {
		all = append(all, nixconf.Borrowed{Store: l.Store, Sandbox: l.Sandbox})
	}
	return nixconf.RenderBorrowed(all)
}
