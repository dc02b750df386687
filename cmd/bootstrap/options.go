package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/fetch"
	"bootstrap/internal/prefix"
	"bootstrap/internal/probe"
	"bootstrap/internal/registry"
	"bootstrap/internal/shellrc"
	"bootstrap/stages"
)

// options makes of the flags and the machine what [stages.Survey] needs, for a prefix in layout.
// It asks for no directory of downloads: where none is known, none is looked at.
func (f *stateFlags) options(m machine, layout prefix.Layout) (stages.Options, error) {
	if err := f.checkHost(m); err != nil {
		return stages.Options{}, err
	}
	l, err := f.lock()
	if err != nil {
		return stages.Options{}, err
	}
	caCert, err := f.certificates(m, layout)
	if err != nil {
		return stages.Options{}, err
	}
	cacheDir, err := m.cacheDir(f.cacheDir)
	if err != nil && f.cacheDir != "" {
		return stages.Options{}, err
	}
	o := stages.Options{
		Layout: layout, Lock: l, NixVersion: f.nixVersion, Host: f.host, HostSHA256: f.hostSHA256,
		CacheDir: cacheDir, CACert: caCert, Classic: registry.ClassicRoot, Root: m.root, User: userName(m), Shell: m.shells(),
		Sink: event.Discard(), Now: m.now,
	}
	if m.program != "" {
		o.ProcProbe = []string{m.program, procVerb}
	}
	return o, nil
}

// options makes of the flags and the machine what an installation needs.
func (f *planFlags) options(ctx context.Context, m machine) (stages.Options, error) {
	if err := f.checkJobs(); err != nil {
		return stages.Options{}, err
	}
	if err := f.checkGroup(); err != nil {
		return stages.Options{}, err
	}
	from, err := f.from(ctx, m)
	if err != nil {
		return stages.Options{}, err
	}
	if f.prefix == autoPrefix {
		if f.prefix, err = f.auto(ctx, m, from); err != nil {
			return stages.Options{}, err
		}
	}
	layout, diverted, err := f.place(m)
	if err != nil {
		return stages.Options{}, err
	}
	o, err := f.stateFlags.options(m, layout)
	if err != nil {
		return o, err
	}
	if o.CacheDir, err = m.cacheDir(f.cacheDir); err != nil {
		return o, err
	}
	if o.Transport, err = f.transport(m, layout); err != nil {
		return o, err
	}
	if o.Keyring, err = readKeys(f.keyring); err != nil {
		return o, err
	}
	input, _ := isTerminal(m.stdin)
	progress, width := isTerminal(m.stderr)
	o.Terminal = probe.Terminal{Input: input, Progress: progress, Width: width}
	o.Jobs, o.BuildHello, o.ShellHook = f.jobs, f.buildHello, f.shellHook
	o.Runtime, o.Diverted, o.From = f.runtime, diverted, from
	if len(f.trusted) > 0 {
		if f.destdir != "" {
			return o, fault.New(fault.Usage, errors.New("--group: with --destdir files can be given to no other group than your own"),
				"leave it out here, and run the same command with --group and without --destdir where the prefix is moved to")
		}
		o.Readers = &f.trusted[0]
	}
	if f.destdir != "" && m.within == nil {
		a, err := f.apart(m)
		if err != nil {
			return o, err
		}
		o.Below, o.Refusal = a.Dir, m.possible(a)
	}
	o.Mirror, o.MirrorEnv, o.AllowExpired = f.mirror, m.getenv("BOOTSTRAP_MIRROR"), f.allowExpired
	o.Snapshot = f.snapshot
	if f.runtime && (f.url != "" || f.only) {
		return o, fault.New(fault.Usage, errors.New("--cache: runtime mode compiles nothing that could be in one"), "leave out --runtime, or --cache")
	}
	o.CacheOnly = f.only
	if o.Caches, err = f.caches(layout.Below(o.Below)); err != nil {
		return o, err
	}
	o.Installer, o.Command = programVersion(), "bootstrap "+strings.Join(redacted(m.args), " ")
	o.Run = runName(m)
	o.Crash = crash(m)
	return o, nil
}

// certificates returns the file of --ca-cert, to which the prefix is going to link. The prefix's
// own directory of configuration is no place for it: the link itself is there.
func (f *seedFlags) certificates(m machine, l prefix.Layout) (string, error) {
	if f.caCert == "" {
		return "", nil
	}
	file, err := m.absolute("--ca-cert", f.caCert)
	if err != nil {
		return "", err
	}
	if isIn(l.Conf, file) {
		return "", fault.New(fault.Usage, fmt.Errorf("--ca-cert %q: lies in the configuration directory of the prefix itself", file),
			"give a file outside of the prefix, which is going to link to it, or leave --ca-cert out")
	}
	return file, nil
}

// transport returns how to reach a mirror. What --ca-cert named before is kept in the prefix. $SSL_CERT_FILE serves this alone, and does not count
// where it is the prefix's own bundle, as a shell that has the prefix sourced says:
// that one is as good, or gone, as the prefix is.
func (f *seedFlags) transport(m machine, l prefix.Layout) (http.RoundTripper, error) {
	file, err := f.certificates(m, l)
	if err != nil {
		return nil, err
	}
	if env := m.getenv("SSL_CERT_FILE"); file == "" && env != "" {
		if file, err = m.absolute("SSL_CERT_FILE", env); err != nil {
			return nil, err
		}
		if isIn(l.Conf, file) {
			file = ""
		}
	}
	o := fetch.TransportOptions{Proxy: http.ProxyFromEnvironment, CACertFile: file}
	if l.Work != "" {
		o.Kept = l.Authorities()
	}
	t, err := fetch.NewTransport(o)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// isIn reports whether a file is in dir, by its path or by the links on the way to it.
// Nothing is in no directory.
func isIn(dir, file string) bool {
	if dir == "" {
		return false
	}
	at := filepath.Dir(file)
	if real, err := filepath.EvalSymlinks(at); err == nil {
		at = real
	}
	for _, path := range []string{file, filepath.Join(at, filepath.Base(file))} {
		if strings.HasPrefix(path, dir+"/") {
			return true
		}
	}
	return false
}

// userName returns the name that the user's profile goes by: what the system says, or the
// number where it has no name for it.
func userName(m machine) string {
	if u, err := user.LookupId(fmt.Sprint(os.Geteuid())); err == nil && isElement(u.Username) {
		return u.Username
	}
	if name := m.getenv("USER"); isElement(name) {
		return name
	}
	return fmt.Sprint(os.Geteuid())
}

func isElement(name string) bool {
	return name != "" && name == filepath.Base(name) && name != "." && name != ".."
}

// shells says whose start-up files a hook would change.
func (m machine) shells() shellrc.Options {
	return shellrc.Options{
		Home: m.getenv("HOME"), ConfigHome: m.getenv("XDG_CONFIG_HOME"), ZDotDir: m.getenv("ZDOTDIR"),
	}
}

// absolute returns a path that the user gave on the command line, absolute and cleaned.
func (m machine) absolute(flag, path string) (string, error) {
	if filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	if m.cwd == "" {
		return "", fault.New(fault.Usage, fmt.Errorf("%s %q: the working directory is not known", flag, path),
			"give an absolute path")
	}
	return filepath.Join(m.cwd, path), nil
}

// cacheDir returns where downloads are kept: where the flag says, or else in the user's cache
// (XDG Base Directory Specification 0.8: relative paths in XDG_CACHE_HOME are to be ignored).
func (m machine) cacheDir(flag string) (string, error) {
	if flag != "" {
		return m.absolute("--cache-dir", flag)
	}
	if dir := m.getenv("XDG_CACHE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "bootstrap"), nil
	}
	if home := m.getenv("HOME"); filepath.IsAbs(home) {
		return homeCache(home), nil
	}
	return "", fault.New(fault.Usage, errors.New("no directory for downloads: neither HOME nor XDG_CACHE_HOME is set"),
		"say where with --cache-dir")
}

// homeCache returns the cache directory in a HOME.
func homeCache(home string) string { return filepath.Join(home, ".cache", "bootstrap") }

// runName names this run in the journal.
func runName(m machine) string {
	return fmt.Sprintf("%s-%d", m.now().UTC().Format("20060102T150405"), os.Getpid())
}
