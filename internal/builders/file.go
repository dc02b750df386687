package builders

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/prefix"

	"github.com/google/renameio/v2"
)

// Mark is in every file that [Save] writes.
const Mark = "# Written by \"bootstrap builders\", which writes it anew: what you change here is lost then.\n"

const header = "# The machines that build for %s: %s.\n" + Mark

// Load returns the machines of a prefix, by their names. Without a file there are none.
func Load(l prefix.Layout) ([]Machine, error) {
	text, err := os.ReadFile(l.Machines())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Machine
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		m, err := parseLine(line)
		if err != nil {
			return nil, fault.New(fault.Unfit, fmt.Errorf("%q: a line that `bootstrap builders` did not write: %w", l.Machines(), err),
				"put machines of your own into a file of their own, and name it in nix.custom.conf: builders = @FILE")
		}
		all = append(all, m)
	}
	return all, nil
}

// Find returns the machine of that address, or of that host; -1 if there is none.
func Find(all []Machine, name string) int {
	name = strings.TrimPrefix(name, scheme)
	if i := slices.IndexFunc(all, func(m Machine) bool { return m.Host == name }); i >= 0 {
		return i
	}
	return slices.IndexFunc(all, func(m Machine) bool { return m.name() == name })
}

// Files returns the files that [Save] writes.
func Files(l prefix.Layout) []string { return []string{l.KnownHosts(), l.Machines()} }

// Save writes the machines and the keys that they are known by; without any, there are no files. The
// directory that they are in exists.
func Save(l prefix.Layout, all []Machine) error {
	if len(all) == 0 {
		var errs []error
		for _, file := range Files(l) {
			if err := os.Remove(file); !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	}
	slices.SortFunc(all, func(a, b Machine) int { return strings.Compare(a.Host, b.Host) })
	known, machines := &bytes.Buffer{}, &bytes.Buffer{}
	fmt.Fprintf(known, header, l.Store, "the keys that they are known by")
	fmt.Fprintf(machines, header, l.Store, "address, systems, key, jobs, speed, features, mandatory features, host key")
	for _, m := range all {
		if err := m.Check(); err != nil {
			return fault.New(fault.Usage, fmt.Errorf("builder %q: %w", m.URL(), err), "`bootstrap builders add --help` lists what there is")
		}
		fmt.Fprintln(machines, m.line())
		for _, name := range slices.Compact([]string{m.KnownAs, m.name()}) {
			fmt.Fprintln(known, name, m.Key)
		}
	}
	for i, text := range [][]byte{known.Bytes(), machines.Bytes()} {
		file := Files(l)[i]
		if have, err := os.ReadFile(file); err == nil && bytes.Equal(have, text) {
			continue
		}
		// Without a directory given, renameio asks the environment for one.
		if err := renameio.WriteFile(file, text, 0o644, renameio.WithTempDir(filepath.Dir(file)), renameio.WithStaticPermissions(0o644)); err != nil {
			return fmt.Errorf("write %q: %w", file, err)
		}
	}
	return nil
}

// Named makes sure that the nix.conf of a prefix names the file that [Save] writes.
func Named(l prefix.Layout) error {
	const again = "run the same bootstrap command as for the installation; it writes the file anew"
	conf, err := os.ReadFile(l.NixConf())
	if err != nil {
		return fault.New(fault.Unfit, fmt.Errorf("read nix.conf: %w", err), again)
	}
	for line := range strings.Lines(string(conf)) {
		if slices.Equal(strings.Fields(line), []string{"builders", "=", "@" + l.Machines()}) {
			return nil
		}
	}
	return fault.New(fault.Unfit, fmt.Errorf("%q: does not name %q", l.NixConf(), l.Machines()), again)
}
