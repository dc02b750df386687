package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"bootstrap/stages"

	"golang.org/x/sys/unix"
)

// hostMishaps are hosts that are not as one would like: the installation goes on without what is
// missing, or refuses before it writes anything.
func hostMishaps() []mishap {
	all := []mishap{
		odd("home-read-only", "HOME that cannot be written to", func(p *patient) {
			must(p.T, os.Chmod(p.home, 0o555))
			p.later(func() { must(p.T, os.Chmod(p.home, 0o755)) })
		}),
		odd("home-nonexistent", "HOME=/nonexistent", func(p *patient) { p.home = "/nonexistent" }),
		odd("home-of-signs", "spaces, quotes, `$` and letters beyond ASCII in HOME", func(p *patient) {
			p.home = p.path("home", `it's "$HOME" of Zoë`)
			must(p.T, os.Mkdir(p.home, 0o755))
		}),
		odd("cache-of-signs", "spaces, quotes, `$` and letters beyond ASCII in the cache's path", func(p *patient) {
			p.cache = p.path("cache", `it's "$CACHE" of Zoë`)
		}),
		odd("lang-unset", "no LANG, no LC_ALL", func(p *patient) { p.env = append(p.env, "LC_ALL=") }),
		odd("foreign-libraries", "LD_LIBRARY_PATH, CPATH, NIX_STORE_DIR and NIX_CONF_DIR of something else", func(p *patient) {
			p.env = append(p.env, "LD_LIBRARY_PATH=/nonexistent", "CPATH=/nonexistent", "NIX_STORE_DIR=/nonexistent", "NIX_CONF_DIR=/nonexistent")
		}),
		odd("umask-077", "umask 077", func(p *patient) { p.shell = "umask 077" }),
		odd("tmp-nonexistent", "TMPDIR=/nonexistent", func(p *patient) { p.env = append(p.env, "TMPDIR=/nonexistent") }),
		{
			name: "host/parent-0500", stage: "probe", how: "a parent directory of mode 0500, for somebody without rights", outcome: "refused, nothing is written; 3",
			provoke: func(p *patient) {
				p.program = "nobody"
				if os.Geteuid() == 0 {
					must(p.T, os.Chown(p.path("opt"), nobodyID, nobodyID))
					must(p.T, os.Chown(p.cache, nobodyID, nobodyID))
				}
				must(p.T, os.Chmod(p.path("opt"), 0o500))
				p.run().wants(3, "(?m)^hint: choose another")
			},
			heal: func(p *patient) {
				p.program = "bootstrap"
				must(p.T, os.Chown(p.path("opt"), os.Geteuid(), -1))
				must(p.T, os.Chown(p.cache, os.Geteuid(), -1))
				must(p.T, os.Chmod(p.path("opt"), 0o755))
			},
		},
		{
			name: "host/no-user-namespaces", stage: stages.Host, how: "`user.max_user_namespaces` is 0, and no capabilities", outcome: "builds are not sandboxed; 0",
			lacks: noNamespaces, differs: []string{stages.Host, stages.Configure},
			provoke: func(p *patient) {
				p.inside(namespacesDenied, withoutCapabilities...)
				p.run().wants(0, "builds without a sandbox")
				p.wrap = nil
			},
		},
		{
			name: "host/tmp-noexec", stage: "any", how: "`/tmp` of its own, mounted noexec, in a mount namespace", outcome: "not run from; 0",
			lacks: noNamespaces,
			provoke: func(p *patient) {
				p.inside("mkdir " + p.path("tmp") + " && mount -t tmpfs -o noexec none " + p.path("tmp"))
				p.env = append(p.env, "TMPDIR="+p.path("tmp"))
				p.run().wants(0)
				p.wrap, p.env = nil, nil
				must(p.T, os.Remove(p.path("tmp")))
			},
			differs: []string{stages.Host, stages.Configure},
		},
		{
			name: "host/one-core-and-2-gb", stage: "any", how: "one processor, and 2 GB of memory by `/proc/meminfo`", outcome: "one compiler at a time; 0",
			lacks: noNamespaces,
			provoke: func(p *patient) {
				meminfo := p.path("meminfo")
				must(p.T, os.WriteFile(meminfo, []byte("MemTotal: 2000000 kB\nMemFree: 1000000 kB\nMemAvailable: 1400000 kB\n"), 0o644))
				p.inside("mount --bind "+meminfo+" /proc/meminfo", "taskset", "-c", firstProcessor(p))
				const found = "1.4 GiB available, 1 processor, 1 compiler at a time"
				if plan := p.startCommand(p.command("--dry-run", "--json")).wait().wants(0).stdout.String(); !strings.Contains(plan, found) {
					p.Errorf("nothing of %q in the plan:\n%s", found, plan)
				}
				p.run().wants(0)
				p.wrap = nil
				must(p.T, os.Remove(meminfo))
			},
			differs: []string{stages.Host, stages.Configure},
		},
	}
	for _, shell := range []string{"dash", "bash", "busybox"} {
		all = append(all, mishap{
			name: "host/sh-is-" + shell, stage: stages.Prove, how: "`/bin/sh` is " + shell + ", in a mount namespace", outcome: "proved in it; 0",
			lacks: func() string {
				if _, err := exec.LookPath(shell); err != nil {
					return shell + " is not installed"
				}
				return noNamespaces()
			},
			provoke: func(p *patient) {
				program, err := exec.LookPath(shell)
				must(p.T, err)
				p.inside("mount --bind " + program + " $(readlink -f /bin/sh)")
				p.run().wants(0)
				p.wrap = nil
			},
			differs: []string{stages.Host, stages.Configure},
		})
	}
	return all
}

// odd is a host on which an installation goes through all the same.
func odd(name, how string, change func(p *patient)) mishap {
	return mishap{
		name: "host/" + name, stage: "any", how: how, outcome: "as on any other host; 0",
		provoke: func(p *patient) {
			change(p)
			p.run().wants(0)
		},
	}
}

// inside has the program run in namespaces of its own, after a line of shell that changes them, by a
// command, if one is given.
func (p *patient) inside(line string, command ...string) {
	p.wrap = append([]string{"unshare", "-rUm", "sh", "-c", line + ` && exec "$@"`, "sh"}, command...)
}

// firstProcessor returns the number of a processor that this process may use.
func firstProcessor(p *patient) string {
	var set unix.CPUSet
	must(p.T, unix.SchedGetaffinity(0, &set))
	for n := range len(set) * 64 {
		if set.IsSet(n) {
			return strconv.Itoa(n)
		}
	}
	p.Fatal("there is no processor")
	return ""
}

// noNamespaces says why no namespaces can be made here; "" if they can.
func noNamespaces() string {
	out, err := exec.Command("unshare", "-rUm", "true").CombinedOutput()
	if err != nil {
		return fmt.Sprintf("no user namespaces: %s", strings.TrimSpace(string(out)))
	}
	return ""
}

// namespacesDenied is what has a mount namespace make no more of them, and withoutCapabilities what
// else runs the program there, since root may make them all the same.
const namespacesDenied = "echo 0 > /proc/sys/user/max_user_namespaces"

var withoutCapabilities = []string{"setpriv", "--bounding-set=-all"}
