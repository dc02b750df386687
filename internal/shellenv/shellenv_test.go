package shellenv_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/prefix"
	"bootstrap/internal/shellenv"
)

const (
	barePath = "<user>/bin:<all>/bin:/usr/bin:/bin"
	bareData = "<user>/share:<all>/share:/usr/local/share:/usr/share"
)

// each runs a test in every shell.
func each(t *testing.T, test func(*testing.T, shell)) {
	t.Helper()
	for _, s := range shells() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

func same(t *testing.T, what string, want, got env) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

// before returns what the shell itself makes of the environment it was started with.
func before(dumps map[string]env) env { return dumps["before"] }

func TestSourceTwiceAndDeactivate(t *testing.T) {
	poisoned := env{
		"XDG_DATA_DIRS":       "/a:/b",
		"MANPATH":             "/m::/n",
		"NIX_PROFILES":        "/nix/var/nix/profiles/default /home/x/.nix-profile",
		"NIX_USER_CONF_FILES": "",
		"NIX_CACHE_HOME":      "/home/x/it's a \"cache\" $HOME `id` \\ a!b",
		"OTHER":               "stays",
	}
	for _, name := range unwanted() {
		poisoned[name] = "/other/prefix/" + strings.ToLower(name)
	}
	tests := map[string]struct {
		root            string
		env             env
		path, data, man string
	}{
		"nothing set":    {root: "plain", path: barePath, data: bareData},
		"odd characters": {root: "a~b+c@d._-ü日", path: barePath, data: bareData},
		"poisoned": {
			root: "plain", env: poisoned,
			path: barePath, data: "<user>/share:<all>/share:/a:/b", man: "<user>/share/man:<all>/share/man:/m::/n",
		},
		"empty": {
			root: "plain", env: env{"XDG_DATA_DIRS": "", "MANPATH": ""},
			path: barePath, data: bareData,
		},
		"lists with empty elements": {
			root: "plain", env: env{"XDG_DATA_DIRS": ":/a", "MANPATH": ":"},
			path: barePath, data: "<user>/share:<all>/share::/a", man: "<user>/share/man:<all>/share/man::",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := install(t, tt.root)
			each(t, func(t *testing.T, s shell) {
				start := bare(t)
				maps.Copy(start, tt.env)
				source := s.sourcing(l)
				got := s.run(t, start, "dump before", source, "dump active", source, "dump twice", "bootstrap_deactivate", "dump after")
				was := before(got)
				wanted := want(t, l, was, tt.path, tt.data, tt.man)
				if value, ok := was["MANPATH"]; ok && value == "" {
					wanted["MANPATH"] = ""
				}
				same(t, "active", wanted, got["active"])
				same(t, "sourced twice", got["active"], got["twice"])
				same(t, "deactivated", was, got["after"])
			})
		})
	}
}

// The prefixes that prefix.Resolve admits have none of these characters; quoting is right all the same.
func TestQuoting(t *testing.T) {
	l := install(t, `it's $HOME wow!x "q" ;c \b *`)
	each(t, func(t *testing.T, s shell) {
		if s.file == "csh" {
			t.Skip("csh expands $ within the quotes of a command substitution")
		}
		got := s.run(t, bare(t), "dump before", s.sourcing(l), "dump active", "bootstrap_deactivate", "dump after")
		same(t, "active", want(t, l, before(got), barePath, bareData, ""), got["active"])
		same(t, "deactivated", before(got), got["after"])
	})
}

func TestNothingElseStaysBehind(t *testing.T) {
	l := install(t, "plain")
	lists := map[string]string{"dash": "set", "busybox": "set", "bash": "compgen -v", "zsh": "typeset +", "fish": "set -n", "tcsh": "set"}
	functions := map[string]string{"bash": "compgen -A function", "zsh": "print -l ${(k)functions}", "fish": "functions -n", "tcsh": "alias"}
	each(t, func(t *testing.T, s shell) {
		for what, command := range map[string]string{"variables": lists[s.name], "functions": functions[s.name]} {
			if command == "" {
				continue
			}
			dir := t.TempDir()
			to := func(name string) string { return command + " >" + s.quote(filepath.Join(dir, name)) }
			pre := []string{to("a")}
			if s.file == "sh" {
				pre = []string{command + " >/dev/null || :", to("a") + " || :"}
			}
			s.run(t, bare(t), append(pre, s.sourcing(l), to("b")+" || true", "bootstrap_deactivate", to("c")+" || true")...)
			a, b, c := names(t, dir, "a"), names(t, dir, "b"), names(t, dir, "c")
			for name := range b {
				if !a[name] && !strings.HasPrefix(name, "NIX_") && !strings.HasPrefix(name, "BOOTSTRAP_") &&
					name != "XDG_DATA_DIRS" && name != "bootstrap_deactivate" {
					t.Errorf("%s: %q stays behind", what, name)
				}
			}
			for name := range c {
				if !a[name] {
					t.Errorf("%s: %q stays behind after bootstrap_deactivate", what, name)
				}
			}
		}
	})
}

// names returns the first word of every line, up to "=": of values with more lines than one,
// there are none here.
func names(t *testing.T, dir, file string) map[string]bool {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for line := range strings.SplitSeq(string(data), "\n") {
		fields := strings.Fields(line)
		if len(fields) > 0 && fields[0] != "_=" {
			name, _, _ := strings.Cut(fields[len(fields)-1], "=")
			if strings.Contains(fields[0], "=") || len(fields) == 2 {
				name, _, _ = strings.Cut(fields[0], "=")
			}
			out[name] = true
		}
	}
	delete(out, "_")
	return out
}

func TestAnotherPrefixIsLeftFirst(t *testing.T) {
	a, b := install(t, "a"), install(t, "b")
	each(t, func(t *testing.T, s shell) {
		start := bare(t)
		maps.Copy(start, env{"NIX_PATH": "x", "XDG_DATA_DIRS": "/d", "MANPATH": "/m", "NIX_CONFIG_HOME": "/c"})
		got := s.run(t, start, "dump before", s.sourcing(a), s.sourcing(b), "dump active", "bootstrap_deactivate", "dump after")
		wanted := want(t, b, before(got), barePath, "<user>/share:<all>/share:/d", "<user>/share/man:<all>/share/man:/m")
		same(t, "active", wanted, got["active"])
		same(t, "deactivated", before(got), got["after"])
	})
}

// A prefix entered in one shell can be left in a shell below it, of another kind.
func TestShellsBelow(t *testing.T) {
	l, other := install(t, "a"), install(t, "b")
	start := bare(t)
	maps.Copy(start, env{"NIX_REMOTE": "daemon", "MANPATH": ":/m"})
	outer := shells()[0].run(t, start, "dump before", shells()[0].sourcing(l), "dump active")
	each(t, func(t *testing.T, s shell) {
		got := s.run(t, outer["active"], s.sourcing(l), "dump twice", s.sourcing(other), "bootstrap_deactivate", "dump after")
		active, before := maps.Clone(outer["active"]), maps.Clone(outer["before"]) // the shells share them
		for _, shellOwn := range []string{"SHLVL", "PWD", "OLDPWD", "HOST", "HOSTTYPE", "VENDOR", "OSTYPE", "MACHTYPE", "LOGNAME", "USER", "GROUP", "NLSPATH"} {
			for _, e := range []env{got["twice"], got["after"], active, before} {
				delete(e, shellOwn)
			}
		}
		same(t, "sourced once more", active, got["twice"])
		same(t, "left by way of another prefix", before, got["after"])
	})
}

func TestWhatChangedMeanwhileStays(t *testing.T) {
	l := install(t, "plain")
	each(t, func(t *testing.T, s shell) {
		profile := fill(t, l, "<user>/bin:<all>/bin")
		got := s.run(t, bare(t), "dump before", s.sourcing(l),
			s.assign("PATH", "/first:"+profile+":/usr/bin:/bin:/last"),
			s.assign("XDG_DATA_DIRS", fill(t, l, bareData)+":/last"),
			s.assign("MANPATH", "/later"),
			s.assign("NIX_SSL_CERT_FILE", "/corp.pem"),
			s.assign("NIX_STORE", "/opt/store"),
			s.sourcing(l), "dump again",
			"bootstrap_deactivate", "dump after")
		wanted := maps.Clone(before(got))
		maps.Copy(wanted, env{
			"PATH": "/first:/usr/bin:/bin:/last", "XDG_DATA_DIRS": "/usr/local/share:/usr/share:/last",
			"MANPATH": "/later", "NIX_SSL_CERT_FILE": "/corp.pem", "NIX_STORE": "/opt/store",
		})
		same(t, "deactivated", wanted, got["after"])
		active := want(t, l, wanted, "<user>/bin:<all>/bin:/first:/usr/bin:/bin:/last",
			"<user>/share:<all>/share:/usr/local/share:/usr/share:/last", "<user>/share/man:<all>/share/man:/later")
		active["NIX_SSL_CERT_FILE"] = "/corp.pem"
		active["BOOTSTRAP_SAVED_NIX_SSL_CERT_FILE"] = "/corp.pem"
		same(t, "sourced again", active, got["again"])
	})
}

func TestCertificates(t *testing.T) {
	with, without := install(t, "with"), install(t, "without")
	if err := os.Remove(without.Certificates()); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		layout prefix.Layout
		env    env
		want   string
	}{
		"the prefix's":                  {with, nil, with.Certificates()},
		"one's own":                     {with, env{"NIX_SSL_CERT_FILE": "/corp.pem"}, "/corp.pem"},
		"one's own for every program":   {with, env{"SSL_CERT_FILE": "/corp.pem"}, ""},
		"the prefix has none":           {without, nil, ""},
		"the prefix has none, one does": {without, env{"NIX_SSL_CERT_FILE": "/corp.pem"}, "/corp.pem"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s shell) {
				start := bare(t)
				maps.Copy(start, tt.env)
				got := s.run(t, start, "dump before", s.sourcing(tt.layout), "dump active", "bootstrap_deactivate", "dump after")
				if got["active"]["NIX_SSL_CERT_FILE"] != tt.want {
					t.Errorf("got %q, want %q", got["active"]["NIX_SSL_CERT_FILE"], tt.want)
				}
				same(t, "deactivated", before(got), got["after"])
			})
		})
	}
}

func TestNoDuplicates(t *testing.T) {
	l := install(t, "plain")
	each(t, func(t *testing.T, s shell) {
		start := bare(t)
		start["PATH"] = fill(t, l, "/usr/bin:<all>/bin:/bin:<user>/bin")
		got := s.run(t, start, "dump before", s.sourcing(l), "dump active", "bootstrap_deactivate", "dump after")
		if got, want := got["active"]["PATH"], fill(t, l, barePath); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
		same(t, "deactivated", before(got), got["after"])
	})
}

// A universal variable of fish is hidden, and neither lost nor overwritten.
func TestFishUniversalVariables(t *testing.T) {
	l := install(t, "plain")
	for _, s := range shells() {
		if s.name != "fish" {
			continue
		}
		s.argv = []string{"fish"} // without configuration it does not keep them
		start := bare(t)
		got := s.run(t, start, "set -Ux NIX_PATH mine", "set -Ux NIX_STATE_HOME mine", "dump before",
			s.sourcing(l), "dump active", s.sourcing(l), "bootstrap_deactivate", "dump after")
		if got["before"]["NIX_PATH"] != "mine" {
			t.Fatalf("got %q: this fish has no universal variables", got["before"])
		}
		if path := got["active"]["NIX_PATH"]; path != "" {
			t.Errorf("active: NIX_PATH is %q", path)
		}
		same(t, "deactivated", got["before"], got["after"])
		later := s.run(t, start, "dump later")
		if later["later"]["NIX_PATH"] != "mine" || later["later"]["NIX_STATE_HOME"] != "mine" {
			t.Errorf("in a later shell: %q", later)
		}
	}
}

// su and sudo leave USER as it was: the uid decides.
func TestUserIsNotTakenFromTheEnvironment(t *testing.T) {
	l := install(t, "plain")
	each(t, func(t *testing.T, s shell) {
		start := bare(t)
		start["USER"] = "somebody-else"
		got := s.run(t, start, s.sourcing(l), "dump active")
		if got, want := got["active"]["NIX_STATE_HOME"], l.UserProfiles(me(t)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestUserWithoutAName(t *testing.T) {
	tests := map[string]struct {
		id, user, want string
	}{
		"a name from the environment":   {`[ "$1" = -u ] && echo 4711`, "jane", "jane"},
		"the uid":                       {`[ "$1" = -u ] && echo 4711`, "", "4711"},
		"the uid, not half a name":      {`if [ "$1" = -u ]; then echo 4711; else echo 4711; exit 1; fi`, "", "4711"},
		"a name that is no file's name": {`if [ "$1" = -u ]; then echo 4711; else echo ../x; fi`, "", "4711"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := install(t, "plain")
			bin := t.TempDir()
			write(t, filepath.Join(bin, "id"), "#!/bin/sh\n"+tt.id+"\n")
			if err := os.Chmod(filepath.Join(bin, "id"), 0o755); err != nil {
				t.Fatal(err)
			}
			s := shells()[0]
			start := bare(t)
			start["PATH"] = bin + ":/usr/bin:/bin"
			if tt.user != "" {
				start["USER"] = tt.user
			}
			got := s.run(t, start, s.sourcing(l), "dump active")
			if got, want := got["active"]["NIX_STATE_HOME"], l.UserProfiles(tt.want); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestWithoutPATH(t *testing.T) {
	l := install(t, "plain")
	each(t, func(t *testing.T, s shell) {
		got := s.run(t, env{"HOME": t.TempDir()}, s.sourcing(l), "dump active")
		first, rest, _ := strings.Cut(got["active"]["PATH"], ":"+l.DefaultProfile()+"/bin")
		if first != l.UserProfiles(me(t))+"/profile/bin" || !strings.Contains(rest, "/bin") {
			t.Errorf("got PATH %q", got["active"]["PATH"])
		}
	})
}

func TestAPrefixThatIsGone(t *testing.T) {
	l := install(t, "plain")
	if err := os.Remove(shellenv.Program(l)); err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, s shell) {
		got := s.run(t, bare(t), "dump before", s.sourcing(l), "dump after")
		same(t, "sourced", before(got), got["after"])
	})
}
