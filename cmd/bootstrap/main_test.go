package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"bootstrap": main,
		"nobody":    nobody,
	})
}

// nobodyID is the uid and gid of somebody without any rights.
const nobodyID = 65534

// nobody is the program run by somebody without any rights: by uid 65534 where the tests are run
// by root, to whom no directory is read-only.
func nobody() {
	const id = nobodyID
	if os.Geteuid() == 0 {
		for _, err := range []error{syscall.Setgroups(nil), syscall.Setgid(id), syscall.Setuid(id)} {
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(99)
			}
		}
	}
	main()
}

// TestScript runs the scripts in testdata/script, each in a directory of its own.
//
// Besides the commands of testscript they have those of [world]:
//
//	upstream DIR                  makes derivations, and a cache of another store directory
//	ask SOCKET CODE PATH [REGEX]  asks an HTTP server on a socket
//	exits CODE PROGRAM [ARG...]   runs a program that must end with that exit code
//	snap                          remembers every file of the script's directory
//	unchanged [PATH...]           fails if any differs by now, but for those below the paths
//	hint [PATTERN]                fails unless stderr ends in one line that says what is wrong,
//	                              and hints, the first of which matches
//	fields FILE NAME...           fails unless the file is a JSON object of these fields
//	mirror [CRIME]                starts a mirror and a snapshot archive that have a small seed,
//	                              and sets MIRROR, SNAPSHOT, FAKE_NIX, HOST_URL and HOST_SHA256
//	install CODE [ARG...]         runs bootstrap with that seed and the prefix opt/store, and with
//	                              a stand-in for Nix; the arguments count more
//	behave WAY                    changes what they answer; see [behaviours]
//	[!] asked PATTERN             fails unless the mirror was asked for a path of that pattern
//	forget                        forgets what it was asked for
//	await                         waits until the mirror stalls
//	start PROGRAM [ARG...]        starts a program, and goes on
//	digest NAME FILE              sets a variable to the sha256 of a file
//	publish NAME FILE             has the mirror serve a file, and sets a variable to its address
//	nixsource DIR VERSION [COUNT] makes a source of Nix to which the patches apply; COUNT of them
//	                              are in it already
//	bincache DIR PREFIX [CRIME]   makes a binary cache of what is installed in a prefix, and sets KEY to
//	                              its public key; see [cacheCrimes]
//	makebundle FILE ROOT [NAME TEXT]
//	                              makes a bundle that fits the seed, as if of a prefix with that
//	                              root, with a file of that name in its Nix besides; sets KEY and SUM
//	interrupt CODE                sends it SIGINT; it must end with that exit code within two
//	                              seconds, and what it said is stderr then
//
// The condition [root] holds where the tests are run by root, [namespaces] where whoever runs them
// may make a mount namespace, in a user namespace or by being root, [userns] for the former.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		Setup:               setup,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition: func(name string) (bool, error) {
			switch name {
			case "root":
				return os.Geteuid() == 0, nil
			case "namespaces":
				return userNamespaces() || exec.Command("unshare", "--mount", "true").Run() == nil, nil
			case "userns":
				return userNamespaces(), nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":      exits,
			"snap":       snap,
			"unchanged":  unchanged,
			"hint":       hint,
			"fields":     fields,
			"mirror":     startMirror,
			"install":    installs,
			"behave":     behave,
			"asked":      asked,
			"forget":     forget,
			"await":      await,
			"start":      start,
			"interrupt":  interrupt,
			"nixsource":  nixSource,
			"upstream":   upstream,
			"ask":        asks,
			"bincache":   makeCache,
			"makebundle": makeBundle,
			"digest":     digest,
			"publish":    publish,
		},
	})
}

// userNamespaces reports whether unshare(1) gets a user namespace here, and a mount namespace in it.
func userNamespaces() bool {
	return exec.Command("unshare", "--user", "--map-root-user", "--mount", "true").Run() == nil
}

// worldKey is what a script's world is kept under.
type worldKey struct{}

func setup(env *testscript.Env) error {
	// Testscript's own directory is closed to everybody else, and so to nobody.
	for _, dir := range []string{filepath.Dir(env.WorkDir), env.WorkDir} {
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
	}
	home := filepath.Join(env.WorkDir, "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		return err
	}
	env.Values[worldKey{}] = &world{dir: env.WorkDir}
	for _, v := range []string{
		"HOME=" + home, "XDG_CACHE_HOME=", "XDG_CONFIG_HOME=", "ZDOTDIR=", "CI=", "NO_COLOR=", "BOOTSTRAP_MIRROR=",
		"BOOTSTRAP_CRASH=", "SSL_CERT_FILE=", "TERM=xterm", "LC_ALL=C.UTF-8",
		// A program with the race detector in it waits for a second before it ends, otherwise.
		"GORACE=atexit_sleep_ms=0",
		// Nothing is reached through it; what is on this machine needs no proxy.
		"HTTP_PROXY=http://127.0.0.1:9", "HTTPS_PROXY=http://127.0.0.1:9", "NO_PROXY=", "no_proxy=",
		"http_proxy=", "https_proxy=",
		// What cannot be written in a script.
		"NOT_UTF8=" + env.WorkDir + "/caf\xe9",
		"CONTROL=" + env.WorkDir + "/a\x07b",
		"LONG=" + env.WorkDir + "/" + strings.Repeat("long/", 20) + "store",
		"LONG_NAME=" + env.WorkDir + "/" + strings.Repeat("x", 256),
	} {
		name, value, _ := strings.Cut(v, "=")
		env.Setenv(name, value)
	}
	return nil
}
