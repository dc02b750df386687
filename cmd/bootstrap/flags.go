package main

import (
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
	"bootstrap/internal/lock"
	"bootstrap/internal/prefix"
	"bootstrap/internal/probe"
	"bootstrap/internal/shellrc"
	"bootstrap/stages"
	"bootstrap/templates"

	"github.com/spf13/pflag"
)

// prefixFlags are those by which every command finds a prefix.
type prefixFlags struct {
	prefix, state, log, conf string
	allowDefaultStore        bool
}

func (f *prefixFlags) register(s *pflag.FlagSet) {
	s.StringVar(&f.prefix, "prefix", "", "the store `directory`, or the one to make `store` in")
	s.StringVar(&f.state, "state-dir", "", "`directory` of Nix's database and profiles (default: <root>/var/nix)")
	s.StringVar(&f.log, "log-dir", "", "`directory` of Nix's build logs (default: <root>/var/log/nix)")
	s.StringVar(&f.conf, "conf-dir", "", "`directory` of nix.conf (default: <root>/etc/nix)")
	s.BoolVar(&f.allowDefaultStore, "allow-default-store", false, "permit /nix/store as the prefix")
}

func (f *prefixFlags) layout(m machine) (prefix.Layout, error) {
	if f.prefix == "" {
		return prefix.Layout{}, fault.New(fault.Usage, errors.New("no prefix given"),
			`say where the store should be: --prefix "$HOME/opt/store"`)
	}
	return prefix.Resolve(prefix.Options{
		Path: f.prefix, StateDir: f.state, LogDir: f.log, ConfDir: f.conf,
		Cwd: m.cwd, AllowDefaultStore: f.allowDefaultStore,
	})
}

// seedFlags are those that say where files come from.
type seedFlags struct {
	mirror, cacheDir, lockFile, caCert, snapshot, keyring string
	allowExpired                                          bool
}

func (f *seedFlags) register(s *pflag.FlagSet) {
	s.StringVar(&f.mirror, "mirror", "", "`URL` of a Debian mirror (default: $BOOTSTRAP_MIRROR, the host's apt sources, a public one)")
	s.StringVar(&f.cacheDir, "cache-dir", "", "`directory` of downloads (default: $XDG_CACHE_HOME/bootstrap)")
	s.StringVar(&f.lockFile, "lock", "", "`file` with the lock to install from (default: the one built in)")
	s.StringVar(&f.caCert, "ca-cert", "", "`file` of certificates to trust besides the system's")
	s.StringVar(&f.snapshot, "snapshot", "", "`URL` of the archive as the lock saw it (default: Debian's snapshot archive)")
	s.StringVar(&f.keyring, "keyring", "", "`file` of OpenPGP keys to trust for indexes instead of Debian's")
	s.BoolVar(&f.allowExpired, "allow-expired-index", false, "take an index of the mirror whose Valid-Until has passed")
}

// installFlags are those of an installation.
type installFlags struct {
	prefixFlags
	seedFlags
	nixVersion, host, hostSHA256 string
	jobs                         int
	buildHello, shellHook        bool
	yes, dryRun, json, verbose   bool
}

func (f *installFlags) register(s *pflag.FlagSet) {
	f.prefixFlags.register(s)
	f.seedFlags.register(s)
	s.StringVar(&f.nixVersion, "nix-version", "", "`constraint` on the version to build, such as \"~> 2.26\"")
	s.StringVar(&f.host, "host", "", "`path or URL` of a Nix to begin with (default: unpacked from the seed)")
	s.StringVar(&f.hostSHA256, "host-sha256", "", "`digest` of the file behind --host URL")
	s.IntVarP(&f.jobs, "jobs", "j", 0, "compilers at a `time` (default: one for each processor)")
	s.BoolVar(&f.buildHello, "build-hello", false, "in the end, also build GNU hello as a proof")
	s.BoolVar(&f.shellHook, "shell-hook", false, "make new shells find nix: add a marked block to their start-up files")
	s.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	s.BoolVar(&f.dryRun, "dry-run", false, "print the plan and write nothing")
	s.BoolVar(&f.json, "json", false, "print events, and the plan of a dry run, as JSON")
	s.BoolVarP(&f.verbose, "verbose", "v", false, "show the output of builds")
}

// options makes of the flags and the machine what the stages need.
func (f *installFlags) options(m machine) (stages.Options, error) {
	layout, err := f.layout(m)
	if err != nil {
		return stages.Options{}, err
	}
	if err := f.checkHost(m); err != nil {
		return stages.Options{}, err
	}
	l, err := f.lock()
	if err != nil {
		return stages.Options{}, err
	}
	seed, err := f.seed(m)
	if err != nil {
		return stages.Options{}, err
	}
	input, _ := isTerminal(m.stdin)
	progress, width := isTerminal(m.stderr)
	o := stages.Options{
		Layout: layout, Lock: l,
		NixVersion: f.nixVersion, Host: f.host, HostSHA256: f.hostSHA256, Jobs: f.jobs,
		BuildHello: f.buildHello, ShellHook: f.shellHook,
		Mirror: seed.mirror, MirrorEnv: m.getenv("BOOTSTRAP_MIRROR"), CacheDir: seed.cacheDir,
		Transport: seed.transport, AllowExpired: f.allowExpired, CACert: seed.caCert,
		Snapshot: f.snapshot, Keyring: seed.keyring,
		Root: m.root, User: userName(m), Shell: m.shells(),
		Terminal:  probe.Terminal{Input: input, Progress: progress, Width: width},
		Installer: programVersion(), Command: "bootstrap " + strings.Join(m.args, " "),
		Run:  fmt.Sprintf("%s-%d", m.now().UTC().Format("20060102T150405"), os.Getpid()),
		Sink: event.Discard(), Now: m.now, Crash: crash(m),
	}
	if m.program != "" {
		o.ProcProbe = []string{m.program, procVerb}
	}
	return o, nil
}

func (f *installFlags) checkHost(m machine) error {
	isURL := strings.HasPrefix(f.host, "http://") || strings.HasPrefix(f.host, "https://")
	if isURL && f.hostSHA256 == "" {
		return fault.New(fault.Usage, fmt.Errorf("--host %q: no digest to check it against", f.host),
			"add --host-sha256 with the sha256 that its publisher states")
	}
	if f.host != "" && !isURL {
		path, err := m.absolute("--host", f.host)
		if err != nil {
			return err
		}
		if _, err := os.Stat(path); err != nil {
			return fault.New(fault.Usage, fmt.Errorf("--host %q: %w", f.host, err), "give the path of a nix program")
		}
		f.host = path
	}
	return nil
}

func (f *seedFlags) lock() (*lock.Lock, error) {
	if f.lockFile == "" {
		return lock.Parse(templates.Lock())
	}
	data, err := os.ReadFile(f.lockFile)
	if err != nil {
		return nil, fault.New(fault.Usage, err, "give the path of a lock, as `bootstrap lock update` writes it")
	}
	l, err := lock.Parse(data)
	if err != nil {
		return nil, &fault.Error{
			Kind: fault.KindOf(err), Err: fmt.Errorf("lock %q: %w", f.lockFile, err), Hint: fault.HintOf(err),
		}
	}
	return l, nil
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

// cacheDir returns where downloads are kept (XDG Base Directory Specification 0.8: relative
// paths in XDG_CACHE_HOME are to be ignored).
func (m machine) cacheDir() (string, error) {
	if dir := m.getenv("XDG_CACHE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "bootstrap"), nil
	}
	if home := m.getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".cache", "bootstrap"), nil
	}
	return "", fault.New(fault.Usage, errors.New("no directory for downloads: neither HOME nor XDG_CACHE_HOME is set"),
		"say where with --cache-dir")
}

// seeding is what seedFlags come to.
type seeding struct {
	mirror, cacheDir, caCert string
	transport                http.RoundTripper
	keyring                  keys
}

func (f *seedFlags) seed(m machine) (seeding, error) {
	s := seeding{mirror: f.mirror}
	var err error
	if f.cacheDir != "" {
		s.cacheDir, err = m.absolute("--cache-dir", f.cacheDir)
	} else {
		s.cacheDir, err = m.cacheDir()
	}
	if err != nil {
		return s, err
	}
	file := f.caCert
	if file == "" {
		file = m.getenv("SSL_CERT_FILE")
	}
	if file != "" {
		if s.caCert, err = m.absolute("--ca-cert", file); err != nil {
			return s, err
		}
	}
	if s.transport, err = fetch.NewTransport(fetch.TransportOptions{
		Proxy: http.ProxyFromEnvironment, CACertFile: s.caCert,
	}); err != nil {
		return s, err
	}
	s.keyring, err = readKeys(f.keyring)
	return s, err
}
