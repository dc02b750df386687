package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/lock"
	"bootstrap/internal/mirror"
	"bootstrap/templates"

	"github.com/spf13/pflag"
)

// prefixFlags are those by which every command finds a prefix.
type prefixFlags struct {
	prefix, state, log, conf string
	destdir                  string
	allowDefaultStore        bool
}

func (f *prefixFlags) register(s *pflag.FlagSet) {
	s.StringVar(&f.prefix, "prefix", "", "the store `directory`, or the one to make \"store\" in")
	s.StringVar(&f.state, "state-dir", "", "`directory` of Nix's database and profiles, or the one to make \"nix\" in (default: <root>/var/nix)")
	s.StringVar(&f.log, "log-dir", "", "`directory` of Nix's build logs (default: <root>/var/log/nix)")
	s.StringVar(&f.conf, "conf-dir", "", "`directory` of nix.conf, or the one to make \"nix\" in (default: <root>/etc/nix)")
	s.StringVar(&f.destdir, destdirFlag, "", "`directory` that stands for \"/\": the files lie below it, for another machine; takes user namespaces")
	s.BoolVar(&f.allowDefaultStore, "allow-default-store", false, "permit /nix/store as the prefix")
}

// seedFlags are those that say which files everything is built from, and where they are kept.
type seedFlags struct {
	lockFile, cacheDir, caCert string
}

// lockToInstall is what --lock means where something is installed from it.
const lockToInstall = "`file` with the lock to install from (default: the one built in)"

func (f *seedFlags) register(s *pflag.FlagSet, lockUsage string) {
	s.StringVar(&f.lockFile, "lock", "", lockUsage)
	registerCacheDir(s, &f.cacheDir)
	s.StringVar(&f.caCert, "ca-cert", "", "`file` of certificates to trust besides the system's")
}

func registerCacheDir(s *pflag.FlagSet, dir *string) {
	s.StringVar(dir, "cache-dir", "", "`directory` of downloads (default: $XDG_CACHE_HOME/bootstrap)")
}

// mirrorFlags are those of commands that ask a mirror for something.
type mirrorFlags struct {
	mirror, keyring string
	allowExpired    bool
}

func (f *mirrorFlags) register(s *pflag.FlagSet) {
	registerMirror(s, &f.mirror)
	registerKeyring(s, &f.keyring)
	s.BoolVar(&f.allowExpired, "allow-expired-index", false, "take an index of the mirror whose Valid-Until has passed")
}

func registerMirror(s *pflag.FlagSet, to *string) {
	s.StringVar(to, "mirror", "", "`URL` of a Debian mirror (default: $BOOTSTRAP_MIRROR, the host's apt sources, a public one)")
}

// stateFlags are those by which it is decided what is done already: the place, and the inputs
// of the stages.
type stateFlags struct {
	prefixFlags
	seedFlags
	nixVersion, host, hostSHA256 string
	json                         bool
}

func (f *stateFlags) register(s *pflag.FlagSet, jsonUsage string) {
	f.prefixFlags.register(s)
	f.seedFlags.register(s, lockToInstall)
	s.StringVar(&f.nixVersion, "nix-version", "", "`constraint` on the version to build, such as \"~> 2.26\"")
	s.StringVar(&f.host, "host", "", "`path or URL` of a Nix to begin with (default: unpacked from the seed)")
	s.StringVar(&f.hostSHA256, "host-sha256", "", "sha256 `digest` of the file behind --host URL")
	registerJSON(s, &f.json, jsonUsage)
}

// jsonFlag is the flag by which [execute] prints an error as JSON, too.
const jsonFlag = "json"

func registerJSON(s *pflag.FlagSet, to *bool, usage string) { s.BoolVar(to, jsonFlag, false, usage) }

// planFlags are those that a plan depends on.
type planFlags struct {
	stateFlags
	mirrorFlags
	cacheFlags
	fromFlags
	choose func(ctx context.Context, places []string) (string, error) // of several for --prefix auto; the first if nil

	snapshot              string
	jobs                  int
	buildHello, shellHook bool
	runtime               bool
	source                sourceFlags
	packages              packagesFlags
	root, group           string
	trusted               []uint32 // the group, once it has been looked up
}

func (f *planFlags) register(s *pflag.FlagSet, jsonUsage string) {
	f.stateFlags.register(s, jsonUsage)
	f.mirrorFlags.register(s)
	f.cacheFlags.register(s)
	f.fromFlags.register(s)
	f.source.register(s)
	f.packages.register(s)
	registerSnapshot(s, &f.snapshot)
	registerJobs(s, &f.jobs)
	s.BoolVar(&f.buildHello, "build-hello", false, "in the end, also build GNU hello as a proof")
	s.BoolVar(&f.runtime, "runtime", false, "compile nothing: run the host nix on the prefix by its options")
	s.StringVar(&f.root, "root", "", "with --runtime, `directory` that the files lie in, as if it were \"/\"; takes user namespaces")
	s.StringVar(&f.group, "group", "", "`name or number` of a group: its members, and nobody else, may read the prefix; they may be able to write to the place")
	s.BoolVar(&f.shellHook, "shell-hook", false, "make new shells find nix: add a marked block to their start-up files")
}

// installFlags are those of an installation.
type installFlags struct {
	planFlags
	yes, dryRun, verbose bool
}

func (f *installFlags) register(s *pflag.FlagSet) {
	f.planFlags.register(s, "print events, and the plan of a dry run, as JSON")
	f.registerAsking(s)
}

func registerSnapshot(s *pflag.FlagSet, to *string) {
	s.StringVar(to, "snapshot", "", "`URL` of the archive as the lock saw it (default: Debian's snapshot archive)")
}

func registerJobs(s *pflag.FlagSet, to *int) {
	s.IntVarP(to, "jobs", "j", 0, "run `N` compilers at a time (default: one per processor, at most one per 1.5 GiB of free memory)")
}

// registerAsking has the flags of what is shown and asked before and meanwhile.
func (f *installFlags) registerAsking(s *pflag.FlagSet) {
	s.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	s.BoolVar(&f.dryRun, "dry-run", false, "print the plan and write nothing")
	s.BoolVarP(&f.verbose, "verbose", "v", false, "show the output of builds")
}

func registerKeyring(s *pflag.FlagSet, to *string) {
	s.StringVar(to, "keyring", "", "`file` of OpenPGP keys to trust for indexes instead of Debian's")
}

var sha256Text = regexp.MustCompile(`^[0-9a-f]{64}$`)

// checkHost checks --host and --host-sha256, and makes a path absolute.
func (f *stateFlags) checkHost(m machine) error {
	isURL := strings.HasPrefix(f.host, "http://") || strings.HasPrefix(f.host, "https://")
	shown := mirror.Redact(f.host)
	switch {
	case isURL && f.hostSHA256 == "":
		return fault.New(fault.Usage, fmt.Errorf("--host %q: no digest to check it against", shown),
			"add --host-sha256 with the sha256 that its publisher states")
	case !isURL && f.hostSHA256 != "":
		return fault.New(fault.Usage, errors.New("--host-sha256: there is no --host URL that it could be the digest of"),
			"leave it out: only what is downloaded is checked against it")
	case isURL && !sha256Text.MatchString(f.hostSHA256):
		return fault.New(fault.Usage, fmt.Errorf("--host-sha256 %q: is not a sha256", f.hostSHA256),
			"give its 64 digits of 0-9 and a-f, as sha256sum prints them")
	case isURL || f.host == "":
		return nil
	}
	path, err := m.absolute("--host", f.host)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return fault.New(fault.Usage, fmt.Errorf("--host %q: %w", shown, err), "give the path of a nix program")
	}
	f.host = path
	return nil
}

func (f *planFlags) checkJobs() error {
	if f.jobs >= 0 {
		return nil
	}
	return fault.New(fault.Usage, fmt.Errorf("--jobs %d: is less than none", f.jobs),
		"give the number of compilers to run at a time, or leave it out")
}

// checkGroup looks up --group.
func (f *planFlags) checkGroup() error {
	if f.group == "" {
		return nil
	}
	number := f.group
	if g, err := user.LookupGroup(f.group); err == nil {
		number = g.Gid
	}
	gid, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return fault.New(fault.Usage, fmt.Errorf("--group %q: there is no such group in /etc/group", f.group),
			"give its number, as `id` prints it")
	}
	f.trusted = []uint32{uint32(gid)}
	mine, err := os.Getgroups()
	if err == nil && os.Geteuid() != 0 && os.Getegid() != int(gid) && !slices.Contains(mine, int(gid)) {
		return fault.New(fault.Usage, fmt.Errorf("--group %q: you are not in it, and cannot give it anything", f.group),
			"name a group that `id` prints, or ask an administrator to put you into this one")
	}
	return nil
}

// lock reads the lock that the flags name.
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

// redacted returns arguments without the logins in them, for a file that everybody can read.
func redacted(args []string) []string {
	out := make([]string, len(args))
	for i, arg := range args {
		flag, value, isFlag := strings.Cut(arg, "=")
		switch {
		case !strings.HasPrefix(arg, "-"):
			out[i] = redactedValue(arg)
		case isFlag:
			out[i] = flag + "=" + redactedValue(value)
		default:
			out[i] = arg
		}
	}
	return out
}

// redactedValue leaves paths alone, which may well hold an "@".
func redactedValue(s string) string {
	if strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") {
		return s
	}
	return mirror.Redact(s)
}
