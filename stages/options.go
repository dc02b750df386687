package stages

import (
	"context"
	"io/fs"
	"net/http"
	"time"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/lock"
	"bootstrap/internal/prefix"
	"bootstrap/internal/probe"
	"bootstrap/internal/run"
	"bootstrap/internal/shellrc"

	"github.com/ProtonMail/go-crypto/openpgp"
)

// Options is everything an installation depends on, as package main found it.
// Fields that have a default say so; all others must be set.
type Options struct {
	Layout prefix.Layout
	Lock   *lock.Lock // the seed

	NixVersion string // constraint on the Nix to build, as go-version reads it; "" for the lock's
	Host       string // absolute path or http(s) URL of a Nix to use as host nix; "" for the seed's
	HostSHA256 string // of Host, where that is a URL
	Jobs       int    // compilers at a time; default: the processors this process may use
	Slots      int    // derivations of nixpkgs that are built at a time; default: one
	BuildHello bool   // prove also by building GNU hello
	ShellHook  bool   // source the env file in the user's shell start-up files
	// Readers is the group that may read the prefix, and nobody else. Nil leaves that as an earlier
	// run has made it; at first, everybody may.
	Readers *uint32

	// Sources is a binary cache of another store directory that builds of nixpkgs have sources from, as Nix
	// has its address; "" for none.
	Sources string
	// Remote is what a Nix needs in its environment to reach the machines that build for the prefix.
	Remote run.Env
	// Packages is the package set; nil for the one that the prefix has, and at first the embedded one.
	// [Options.Examine] has found out what is in it.
	Packages *Set

	// Upgrade makes a new generation of the installation, where what is current is another one than
	// these options make. Without it that is refused.
	Upgrade bool
	// OneWay takes the database of the store to a form that the Nix which is current cannot read.
	OneWay bool

	// Runtime stops after the host nix and points it at the prefix by its options. [Survey] goes
	// by what was installed.
	Runtime bool
	// Diverted is the store directory that Nix is to know, where Layout is another one that the
	// files lie in; Layout.Store ends in it. Only in runtime mode; "" for Layout.Store.
	Diverted string

	// Below is a directory that stands for "/" where this process does not see the files of the
	// prefix at their place. Nothing is recorded of the prefix then. Only [Make] and [Found] take it.
	Below string
	// Refusal is a reason of package main's why it cannot work; nil for none.
	Refusal *fault.Error

	// From is a bundle to take a Nix from instead of compiling one; nil for none. [Survey] and [Repair]
	// go by what was installed.
	From *From

	Mirror       string             // what the user asked for; "" for none
	MirrorEnv    string             // what the environment asks for; "" for none
	CacheDir     string             // of downloads, absolute
	Transport    http.RoundTripper  // reaches the mirror
	AllowExpired bool               // take an index whose Valid-Until has passed
	CACert       string             // a file of certificates to trust besides, absolute; "" for none
	Snapshot     string             // base URL of the archive as the lock saw it; "" for Debian's snapshot archive
	Keyring      openpgp.EntityList // whose signatures on an index count; nil for Debian's

	// Caches are asked, in order, for what would be built otherwise. CacheOnly refuses to build what
	// none of them has.
	Caches    []Cache
	CacheOnly bool

	// Classic is the directory of another Nix whose store may have sources, as a rule /nix; "" for
	// none. It is only read.
	Classic string

	Root      fs.FS           // the host's file system from "/" on
	User      string          // name of the user the profile belongs to
	Shell     shellrc.Options // whose start-up files [Options.ShellHook] means
	Terminal  probe.Terminal
	ProcProbe []string // see [probe.Options]
	Installer string   // version of this program
	Command   string   // the command line, for whoever is kept out by the lock
	Run       string   // names this run in the journal

	Sink event.Sink
	Now  func() time.Time
	// Confirm is called with the plan before anything is written, if there is something to do.
	// An error it returns ends the run. Nil goes on.
	Confirm func(context.Context, *Plan) error
	// Crash is called after each record of the journal, and tests end the process in it. May be nil.
	Crash func(point string)
}
