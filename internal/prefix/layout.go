// Package prefix owns the directories of a prefix: which they are, what they are called,
// and whether a path that somebody typed can be one.
//
// It is the only package that joins the paths of a prefix; everybody else asks a [Layout].
// It reads the file system to resolve symbolic links and never writes to it.
package prefix

import (
	"net/url"
	"path/filepath"
	"strconv"
)

// Layout is every directory of one prefix, each absolute, cleaned and free of symbolic links
// (save for Share and ProfileD, which nothing compiles in).
// The zero value is not a layout; [Resolve] makes one.
type Layout struct {
	Root     string `json:"root"`      // what the store directory stands in: /opt
	Store    string `json:"store"`     // the store directory: /opt/store
	State    string `json:"state"`     // Nix's database, profiles and GC roots: /opt/var/nix
	Log      string `json:"log"`       // Nix's build logs: /opt/var/log/nix
	Conf     string `json:"conf"`      // nix.conf: /opt/etc/nix
	Work     string `json:"work"`      // what the installer keeps: /opt/var/bootstrap
	RunLog   string `json:"run_log"`   // the installer's logs, a file per stage: /opt/var/log/bootstrap
	Share    string `json:"share"`     // /opt/share/bootstrap
	Packages string `json:"packages"`  // the package set: /opt/share/bootstrap/packages
	ProfileD string `json:"profile_d"` // the files shells source: /opt/etc/profile.d

	// ResolvedFrom is the path that was asked for, cleaned,
	// or empty where no symbolic link stood in its way.
	ResolvedFrom string `json:"resolved_from,omitempty"`
}

// Directory is one of the main directories of a prefix, with the word the user knows it by.
type Directory struct {
	Noun string // as in the plan: "store", "state", "logs", "configuration"
	Flag string // the flag that moves it
	Path string
}

// Main returns the four directories that Nix has compiled in, in the order the plan prints them.
func (l Layout) Main() []Directory {
	return []Directory{
		{"store", "--prefix", l.Store},
		{"state", "--state-dir", l.State},
		{"logs", "--log-dir", l.Log},
		{"configuration", "--conf-dir", l.Conf},
	}
}

// Below returns where the directories lie if dir stands for "/"; those of l itself for none.
func (l Layout) Below(dir string) Layout {
	if dir == "" {
		return l
	}
	for _, d := range []*string{
		&l.Root, &l.Store, &l.State, &l.Log, &l.Conf, &l.Work, &l.RunLog, &l.Share, &l.Packages, &l.ProfileD,
	} {
		*d = filepath.Join(dir, *d)
	}
	return l
}

// Journal returns the file that internal/journal appends to.
func (l Layout) Journal() string { return filepath.Join(l.Work, "journal.jsonl") }

// Receipt returns the file that internal/receipt writes.
func (l Layout) Receipt() string { return filepath.Join(l.Work, "receipt.json") }

// LockFile returns the file that keeps a second installer out.
func (l Layout) LockFile() string { return filepath.Join(l.Work, "lock") }

// HostDir returns where the host nix is unpacked.
func (l Layout) HostDir() string { return filepath.Join(l.Work, "host") }

// RuntimeDir returns where the programs of runtime mode are, which run the host nix.
func (l Layout) RuntimeDir() string { return filepath.Join(l.Work, "runtime") }

// RelocatedDir returns where what was relocated from caches of other store directories is kept, with the key that signs it.
func (l Layout) RelocatedDir() string { return filepath.Join(l.Work, "relocated") }

// TmpDir returns the TMPDIR of every child.
func (l Layout) TmpDir() string { return filepath.Join(l.Work, "tmp") }

// HomeDir returns the HOME of every child.
func (l Layout) HomeDir() string { return filepath.Join(l.Work, "home") }

// StageLog returns the log file of one stage.
func (l Layout) StageLog(stage string) string { return filepath.Join(l.RunLog, stage+".log") }

// StageDir returns a directory of one stage's own below Work, for what is not a store path.
func (l Layout) StageDir(stage string) string { return filepath.Join(l.Work, stage) }

// StorePath returns the path of an entry of the store directory, given its name `<hash>-<name>`.
func (l Layout) StorePath(name string) string { return filepath.Join(l.Store, name) }

// NixConf returns Nix's configuration file.
func (l Layout) NixConf() string { return filepath.Join(l.Conf, "nix.conf") }

// BorrowedConf returns the file that nix.conf includes for what the prefix borrows of other stores.
func (l Layout) BorrowedConf() string { return filepath.Join(l.Conf, "nix.borrowed.conf") }

// Machines returns the file that names the machines that build for the prefix.
func (l Layout) Machines() string { return filepath.Join(l.Conf, "machines") }

// KnownHosts returns the file of the keys that those machines are known by.
func (l Layout) KnownHosts() string { return filepath.Join(l.Conf, "known_hosts") }

// CachesConf returns the file that nix.conf includes for the binary caches of this store directory.
func (l Layout) CachesConf() string { return filepath.Join(l.Conf, "nix.caches.conf") }

// Netrc returns the file in which Nix looks for logins at servers. It is the user's own.
func (l Layout) Netrc() string { return filepath.Join(l.Conf, "netrc") }

// Certificates returns the link to the bundle of certificates the prefix brings.
func (l Layout) Certificates() string { return filepath.Join(l.Conf, "ca-bundle.crt") }

// Authorities returns the path of the certificates that --ca-cert named, kept for later commands.
func (l Layout) Authorities() string { return filepath.Join(l.Work, "ca-cert.pem") }

// EnvFile returns the file a shell sources.
// Every shell that is not fish, csh or tcsh reads the one for sh.
func (l Layout) EnvFile(shell string) string {
	switch shell {
	case "fish":
		return filepath.Join(l.ProfileD, "nix.fish")
	case "csh", "tcsh":
		return filepath.Join(l.ProfileD, "nix.csh")
	}
	return filepath.Join(l.ProfileD, "nix.sh")
}

// Database returns the directory of Nix's database; where it is, a store is.
func (l Layout) Database() string { return filepath.Join(l.State, "db") }

// GCRoots returns the directory of the installer's own GC roots.
// Roots in there are found without looking outside the state directory.
func (l Layout) GCRoots() string { return filepath.Join(l.State, "gcroots", "bootstrap") }

// RootsOf returns the directory of the GC roots of one generation of the installation.
func (l Layout) RootsOf(generation int) string {
	return filepath.Join(l.GCRoots(), strconv.Itoa(generation))
}

// Generations returns the directory that has a directory for each generation of the installation.
func (l Layout) Generations() string { return filepath.Join(l.Work, "generations") }

// Lent returns the directory of the GC roots that keep what other prefixes borrow from this store,
// with a directory in it for each of them.
func (l Layout) Lent() string { return filepath.Join(l.State, "gcroots", "bootstrap-lent") }

// LentTo returns the directory of the GC roots that keep what one prefix borrows from this store.
// Its name is the store directory of that prefix; [Borrower] reads it.
func (l Layout) LentTo(store string) string { return filepath.Join(l.Lent(), url.PathEscape(store)) }

// Borrower returns whose directory in [Layout.Lent] has that name; ok is false if it is nobody's.
func Borrower(name string) (store string, ok bool) {
	store, err := url.PathUnescape(name)
	return store, err == nil && filepath.IsAbs(store) && url.PathEscape(store) == name
}

// BuildDir returns the value of `build-dir` in nix.conf.
// Upstream's default from 2.30 on is the same.
func (l Layout) BuildDir() string { return filepath.Join(l.State, buildDir) }

// Profiles returns the directory of the profiles that belong to nobody in particular.
func (l Layout) Profiles() string { return filepath.Join(l.State, "profiles") }

// DefaultProfile returns the profile the installer makes.
func (l Layout) DefaultProfile() string { return filepath.Join(l.State, "profiles", "default") }

// UserDir returns where one user's caches, configuration and data live.
// It is outside profiles, because the garbage collector walks every file in there.
// The user's name must be one path element.
func (l Layout) UserDir(user string) string { return filepath.Join(l.State, "users", user) }

// UserCache returns one user's NIX_CACHE_HOME.
func (l Layout) UserCache(user string) string { return filepath.Join(l.UserDir(user), "cache") }

// UserConf returns one user's NIX_CONFIG_HOME.
func (l Layout) UserConf(user string) string { return filepath.Join(l.UserDir(user), "config") }

// UserData returns one user's NIX_DATA_HOME.
func (l Layout) UserData(user string) string { return filepath.Join(l.UserDir(user), "data") }

// UserProfiles returns one user's NIX_STATE_HOME: profiles that are GC roots where they stand.
func (l Layout) UserProfiles(user string) string {
	return filepath.Join(l.State, "profiles", "per-user", user)
}

// layout returns the directories that follow from a store directory.
func layout(store string) Layout {
	root := filepath.Dir(store)
	share := filepath.Join(root, "share", "bootstrap")
	return Layout{
		Root:     root,
		Store:    store,
		State:    filepath.Join(root, "var", "nix"),
		Log:      filepath.Join(root, "var", "log", "nix"),
		Conf:     filepath.Join(root, "etc", "nix"),
		Work:     filepath.Join(root, "var", "bootstrap"),
		RunLog:   filepath.Join(root, "var", "log", "bootstrap"),
		Share:    share,
		Packages: filepath.Join(share, "packages"),
		ProfileD: filepath.Join(root, "etc", "profile.d"),
	}
}
