package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/destdir"
	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/prefix"
	"bootstrap/stages"

	"github.com/spf13/cobra"
)

// destdirFlag is the flag that says where the files of a prefix lie that is for another machine.
const destdirFlag = "destdir"

// apart is a prefix whose files lie below a directory, seen from outside.
type apart struct {
	destdir.View
	layout prefix.Layout // as it is at its place
}

// begun reports whether anything was recorded of it.
func (a apart) begun() bool {
	files := a.layout.Below(a.Dir)
	for _, file := range []string{files.Journal(), files.Receipt()} {
		if _, err := os.Lstat(file); err == nil {
			return true
		}
	}
	return false
}

// below returns the directory that stands for "/", for a process that does not see the files at
// their place; "" where they are there.
func (f *prefixFlags) below(m machine) (string, error) {
	if f.destdir == "" || m.within != nil {
		return "", nil
	}
	dir, err := m.absolute("--"+destdirFlag, f.destdir)
	if err != nil {
		return "", err
	}
	if dir, err = followed(dir); err != nil {
		return "", fault.New(fault.Unfit, fmt.Errorf("--destdir %q: %w", f.destdir, err), "give a directory, or the path of one that is to be made")
	}
	if dir == "/" {
		return "", fault.New(fault.Usage, errors.New(`--destdir "/": that is where the files lie without it`), "leave it out, or give another directory")
	}
	return dir, nil
}

// followed resolves the symbolic links in what there is of a path.
func followed(path string) (string, error) {
	there, missing := path, ""
	for {
		info, err := os.Lstat(there)
		if err == nil {
			there, err = filepath.EvalSymlinks(there)
		}
		if err == nil {
			if info, err = os.Stat(there); err == nil && !info.IsDir() {
				err = fmt.Errorf("%q is not a directory", there)
			}
			return filepath.Join(there, missing), err
		}
		if !errors.Is(err, os.ErrNotExist) || info != nil {
			return "", err
		}
		there, missing = filepath.Dir(there), filepath.Join(filepath.Base(there), missing)
	}
}

// apart returns the prefix that the flags name, where its files lie below --destdir.
func (f *prefixFlags) apart(m machine) (apart, error) {
	if f.prefix == autoPrefix {
		return apart{}, fault.New(fault.Usage, fmt.Errorf("--prefix %s: what fits is looked for on this machine, and with --destdir the files are for another", autoPrefix),
			"give the --prefix that they are going to be at")
	}
	o, err := f.asked(m)
	if err != nil {
		return apart{}, err
	}
	l, err := prefix.Resolve(o)
	if err != nil {
		return apart{}, err
	}
	for _, d := range l.Main() {
		if !isBelow(l.Root, d.Path) {
			return apart{}, fault.New(fault.Usage, fmt.Errorf("%s %q: with --destdir it has to lie in %q, as all of the prefix", d.Flag, d.Path, l.Root),
				"leave "+d.Flag+" out, or give a directory in there")
		}
	}
	return apart{destdir.View{Dir: o.Below, At: l.Root}, l}, nil
}

// isBelow reports whether a path is in a directory. Both are clean.
func isBelow(dir, path string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// systems are the directories without which no program works, or none that asks who it is.
var systems = []string{"/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr"}

// hides refuses to hide what is needed: with --destdir, whatever is in the root of the prefix on
// this machine cannot be seen.
func (a apart) hides(m machine, cmd *cobra.Command, args []string) error {
	hidden := func(what, path string) error {
		if path != a.At && !isBelow(a.At, path) {
			return nil
		}
		return fault.New(fault.Usage, fmt.Errorf("%s %q: lies in %q, in whose place there is %q with --destdir", what, path, a.At, a.Files()),
			"have it elsewhere, or choose a --prefix in another directory")
	}
	needed := [][2]string{{"the working directory", m.cwd}, {"this program", m.program}}
	for _, dir := range systems {
		needed = append(needed, [2]string{"the system's", dir})
	}
	if flag := cmd.Flags().Lookup("cache-dir"); flag != nil {
		dir, err := m.cacheDir(flag.Value.String())
		if err == nil {
			needed = append(needed, [2]string{"the cache of downloads", dir})
		}
	}
	for _, name := range []string{"lock", "ca-cert", "keyring", "host", "output", "file", "from", "from-key", "key", "nix-source", "secret-key", "identity", "out-link"} {
		flag := cmd.Flags().Lookup(name)
		if flag == nil || !filepath.IsAbs(flag.Value.String()) {
			continue
		}
		path := filepath.Clean(flag.Value.String())
		// The package set of the prefix, for one, is meant as it is there.
		if _, err := os.Lstat(filepath.Join(a.Dir, path)); name == "file" && isBelow(a.At, path) && err == nil {
			continue
		}
		needed = append(needed, [2]string{"--" + name, path})
	}
	for _, name := range []string{"cache", "from"} {
		if flag := cmd.Flags().Lookup(name); flag != nil {
			needed = append(needed, [2]string{"--" + name, directory(flag.Value.String())})
		}
	}
	for _, arg := range args {
		needed = append(needed, [2]string{"the cache", directory(arg)})
	}
	for _, n := range needed {
		if n[1] == "" {
			continue
		}
		if err := hidden(n[0], n[1]); err != nil {
			return err
		}
	}
	return a.seals(m, cmd)
}

// directory returns the directory that an address names; "" where it names none of this machine.
func directory(address string) string {
	if u, err := url.Parse(address); err == nil && u.Scheme == "file" {
		return filepath.Clean(u.Path)
	}
	return ""
}

// seals sees to what would be written directly in the directory above the root of the prefix,
// where nothing can be made if that root is no directory on this machine.
func (a apart) seals(m machine, cmd *cobra.Command) error {
	sealed, err := a.Sealed()
	if err != nil || sealed == "" {
		return err
	}
	if flag := cmd.Flags().Lookup("output"); flag != nil && flag.Value.String() != "" {
		file, err := m.absolute("--output", flag.Value.String())
		if err != nil {
			return err
		}
		if filepath.Dir(file) == sealed {
			return fault.New(fault.Usage, fmt.Errorf("--output %q: with --destdir nothing can be made in %q, since %q is no directory", file, sealed, a.At),
				"give a file in another directory")
		}
	}
	if dry := cmd.Flags().Lookup("dry-run"); cmd.Name() != "bootstrap" || dry.Value.String() == "true" || !a.begun() {
		return nil
	}
	return a.makeCache(m, cmd.Flags().Lookup("cache-dir").Value.String())
}

// makeCache makes the cache of downloads where that cannot be made in the view.
func (a apart) makeCache(m machine, flag string) error {
	sealed, err := a.Sealed()
	if err != nil || sealed == "" {
		return err
	}
	dir, err := m.cacheDir(flag)
	if err != nil || !isBelow(sealed, dir) {
		return err
	}
	return os.MkdirAll(dir, 0o755)
}

// notApart are commands that would speak of this machine, and why they do not take --destdir.
var notApart = map[string]string{
	"env":    "what it prints is for a shell that sees the prefix at its place; use `bootstrap shell`, or `run`",
	"borrow": "the other store would have to be on the machine that the files are for; run it there",
	"return": "there is nothing borrowed",
}

// begins are the commands that can do without anything being there.
var begins = []string{"bootstrap", "plan", "doctor"}

// takeApart has every command that finds a prefix by flags run where the files of one with
// --destdir are seen at their place. Only what begins one runs outside, as long as nothing is there.
func takeApart(m machine, cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		takeApart(m, sub)
	}
	if cmd.RunE == nil || cmd.Flags().Lookup(destdirFlag) == nil {
		return
	}
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if m.within != nil || cmd.Flags().Lookup(destdirFlag).Value.String() == "" {
			return run(cmd, args)
		}
		if why := notApart[cmd.Name()]; why != "" {
			return fault.New(fault.Usage, fmt.Errorf("%s: cannot have --destdir", cmd.Name()), why)
		}
		a, err := flagsOf(cmd).apart(m)
		if err != nil {
			return err
		}
		if err := a.hides(m, cmd, args); err != nil {
			return err
		}
		if !a.begun() {
			if slices.Contains(begins, cmd.Name()) {
				return run(cmd, args)
			}
			return fault.New(fault.Usage, fmt.Errorf("prefix %q: nothing is installed there, with its files in %q", a.layout.Store, a.Files()),
				"give the --prefix and --destdir it was installed with; `bootstrap --prefix` installs")
		}
		if cmd.Name() != "uninstall" {
			return m.enter(cmd.Context(), a, toAsk)
		}
		return m.enterToRemove(cmd.Context(), a)
	}
}

// flagsOf returns the flags by which a command finds a prefix.
func flagsOf(cmd *cobra.Command) *prefixFlags {
	value := func(name string) string { return cmd.Flags().Lookup(name).Value.String() }
	return &prefixFlags{
		prefix: value("prefix"), state: value("state-dir"), log: value("log-dir"), conf: value("conf-dir"),
		destdir: value(destdirFlag), allowDefaultStore: value("allow-default-store") == "true",
	}
}

// beginApart begins an installation whose files lie below --destdir, and has it carried out where they
// are seen at their place.
func beginApart(ctx context.Context, m machine, f *installFlags, o stages.Options) error {
	a, err := f.apart(m)
	if err != nil {
		return err
	}
	view := newView(m, viewOptions{json: f.json, verbose: f.verbose})
	defer view.Close()
	o.Sink = view
	o.Confirm = func(ctx context.Context, p *stages.Plan) error { return consent(ctx, m, f, p, view) }
	if err := stages.Found(ctx, o); err != nil {
		return err
	}
	if err := view.Close(); err != nil {
		return err
	}
	if err := a.makeCache(m, f.cacheDir); err != nil {
		return err
	}
	return m.enter(ctx, a, isConfirmed)
}

// enterToRemove removes, besides the prefix, what was made to have a place for it.
func (m machine) enterToRemove(ctx context.Context, a apart) error {
	history, err := journal.Load(a.layout.Below(a.Dir).Journal())
	if err != nil {
		history = &journal.History{} // that is for whoever removes the rest to tell
	}
	if err := m.enter(ctx, a, toAsk); err != nil || a.begun() {
		return err
	}
	for _, dir := range stages.Way(history, a.Files()) {
		if os.Remove(dir) != nil {
			break // there is something in it by now
		}
	}
	return nil
}

// files returns where the files of a prefix lie whose root is not theirs; "" if it is.
func (m machine) files(f *prefixFlags, l prefix.Layout) string {
	if m.within != nil {
		return filepath.Join(m.within.dir, l.Root)
	}
	below, err := f.below(m)
	if err != nil || below == "" {
		return ""
	}
	return filepath.Join(below, l.Root)
}

// finishedApart says what to do with files that are for another machine.
func finishedApart(m machine, f *installFlags, res *stages.Result) error {
	l := res.Receipt.Layout
	files := m.files(&f.prefixFlags, l)
	state := "."
	if res.Nothing {
		state = ", and complete; nothing to do."
	}
	fmt.Fprintf(m.stderr, "\nNix %s for %s%s is in %s%s\n", res.Receipt.NixVersion, l.Store, byOptions(res.Receipt.Mode), files, state)
	fmt.Fprintf(m.stderr, "\nIn %s of another machine it works as it is:\n\n", l.Root)
	fmt.Fprintf(m.stdout, "    tar -C %s -c . | ssh HOST 'mkdir -p %s && tar -C %s -xp'\n", quoted(files), quoted(l.Root), quoted(l.Root))
	fmt.Fprintf(m.stderr, `
To try it here: bootstrap shell --prefix %s --destdir %s
To take it away here: bootstrap uninstall --prefix %s --destdir %s
`, quoted(l.Store), quoted(m.within.dir), quoted(l.Store), quoted(m.within.dir))
	return nil
}
