package nixconf_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/nixconf"
	"bootstrap/internal/prefix"
)

func layout(t *testing.T) prefix.Layout {
	t.Helper()
	l, err := prefix.Resolve(prefix.Options{Path: "/opt-of-nobody/store"})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// settings reads a nix.conf as Nix does: "#" begins a comment, a setting is name = words.
// Directives such as !include are entries without a value of their own.
func settings(t *testing.T, conf []byte) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.SplitSeq(string(conf), "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if words[0] != "!include" && (len(words) < 2 || words[1] != "=") {
			t.Errorf("line %q: Nix would refuse it", line)
			continue
		}
		if words[0] == "!include" {
			words = []string{strings.Join(words, " "), "="}
		}
		if _, twice := out[words[0]]; twice {
			t.Errorf("%s is set twice", words[0])
		}
		out[words[0]] = strings.Join(words[2:], " ")
	}
	return out
}

// bare is what every nix.conf says.
func bare() map[string]string {
	return map[string]string{
		"experimental-features":      "nix-command flakes",
		"build-users-group":          "",
		"store":                      "local",
		"use-xdg-base-directories":   "true",
		"sandbox":                    "false",
		"sandbox-fallback":           "false",
		"filter-syscalls":            "false",
		"ignored-acls":               "security.selinux security.csm system.nfs4_acl",
		"build-dir":                  "/opt-of-nobody/var/nix/builds",
		"substituters":               "",
		"trusted-public-keys":        "",
		"ssl-cert-file":              "/opt-of-nobody/etc/nix/ca-bundle.crt",
		"flake-registry":             "",
		"nix-path":                   "bootstrap=/opt-of-nobody/share/bootstrap/packages",
		"accept-flake-config":        "false",
		"keep-outputs":               "true",
		"keep-derivations":           "true",
		"auto-optimise-store":        "false",
		"builders":                   "@/opt-of-nobody/etc/nix/machines",
		"builders-use-substitutes":   "false",
		"eval-cache":                 "true",
		"upgrade-nix-store-path-url": "",
		"!include nix.borrowed.conf": "",
		"!include nix.caches.conf":   "",
		"!include nix.custom.conf":   "",
	}
}

// What the writer's own file says wins over what nix.conf says to everybody.
func TestRenderWriter(t *testing.T) {
	text, err := nixconf.RenderWriter(layout(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"store": "local", "build-dir": "/opt-of-nobody/var/nix/builds"}, settings(t, text)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := nixconf.RenderWriter(prefix.Layout{State: "/a b"}); err == nil {
		t.Error("a path with a blank is written")
	}
	conf, err := nixconf.Render(nixconf.Options{Layout: layout(t), Readers: true})
	if err != nil {
		t.Fatal(err)
	}
	want := bare()
	delete(want, "build-dir")
	maps.Copy(want, map[string]string{
		"experimental-features": "nix-command flakes read-only-local-store", "store": "local?read-only=true", "!include nix.writer.conf": "",
	})
	if diff := cmp.Diff(want, settings(t, conf)); diff != "" {
		t.Errorf("for readers (-want +got)\n%s", diff)
	}
	read, write := strings.Index(string(conf), "\nstore = "), strings.Index(string(conf), "\n!include nix.writer.conf\n")
	if read < 0 || write < read {
		t.Errorf("the writer's file is not read after the setting:\n%s", conf)
	}
}

func TestRender(t *testing.T) {
	tests := map[string]struct {
		options nixconf.Options
		differ  map[string]string
		comment string // some comment must say this
	}{
		"nothing known": {
			comment: "This host cannot sandbox builds.",
		},
		"sandboxed": {
			options: nixconf.Options{Sandbox: true, FilterSyscalls: true},
			differ:  map[string]string{"sandbox": "true", "filter-syscalls": "true"},
			comment: "This host has the namespaces",
		},
		"no sandbox and why": {
			options: nixconf.Options{SandboxReason: "user namespaces: operation\nnot permitted."},
			comment: "cannot sandbox builds: user namespaces: operation not permitted.\n",
		},
		"no filter and why": {
			options: nixconf.Options{FilterReason: "seccomp: bad"},
			comment: "did not take the filter for system calls: seccomp: bad.\n",
		},
		"a nixpkgs": {
			options: nixconf.Options{Nixpkgs: "/opt-of-nobody/store/x-source", FlakeRegistry: "/opt-of-nobody/r.json"},
			differ: map[string]string{
				"nix-path":       "bootstrap=/opt-of-nobody/share/bootstrap/packages nixpkgs=/opt-of-nobody/store/x-source",
				"flake-registry": "/opt-of-nobody/r.json",
			},
			comment: "<nixpkgs> the nixpkgs that it is made of",
		},
		"a cache that answers": {
			options: nixconf.Options{Substituters: []nixconf.Substituter{nixconf.Public()}},
			differ: map[string]string{
				"substituters":        "https://cache.nixos.org?store=/nix/store",
				"trusted-public-keys": "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=",
				"fallback":            "true",
			},
			comment: "# No store of another Nix on this machine is asked.\n",
		},
		"a store": {
			options: nixconf.Options{Local: "local?store=/nix/store&read-only=true"},
			differ: map[string]string{
				"experimental-features": "nix-command flakes read-only-local-store",
				"substituters":          "local?store=/nix/store&read-only=true",
				"fallback":              "true",
			},
			comment: "# No cache is asked.\n",
		},
		"a store and a cache": {
			options: nixconf.Options{Local: "local?read-only=true", Substituters: []nixconf.Substituter{nixconf.Public()}},
			differ: map[string]string{
				"experimental-features": "nix-command flakes read-only-local-store",
				"substituters":          "local?read-only=true https://cache.nixos.org?store=/nix/store",
				"trusted-public-keys":   "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=",
				"fallback":              "true",
			},
			comment: "While it is\n# not there, Nix warns of it and goes on.\n",
		},
		"no store and why": {
			options: nixconf.Options{LocalReason: "there is none in /nix"},
			comment: "# No store of another Nix on this machine is asked: there is none in /nix.\n",
		},
		"two caches": {
			options: nixconf.Options{Substituters: []nixconf.Substituter{
				{URL: "http://cache.test", PublicKey: "ours:AAAA"}, nixconf.Public(),
			}},
			differ: map[string]string{
				"substituters":        "http://cache.test https://cache.nixos.org?store=/nix/store",
				"trusted-public-keys": "ours:AAAA cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=",
				"fallback":            "true",
			},
		},
		"no cache and why": {
			options: nixconf.Options{SubstitutersReason: "no route to host"},
			comment: "No cache is asked: no route to host.\n",
		},
		"no cache and how to": {
			comment: "#   extra-substituters = https://cache.nixos.org?store=/nix/store\n",
		},
		"a bundle of one's own": {
			options: nixconf.Options{CABundle: "/etc/corp.pem"},
			differ:  map[string]string{"ssl-cert-file": "/etc/corp.pem"},
		},
		"a registry": {
			options: nixconf.Options{FlakeRegistry: "/r.json"},
			differ:  map[string]string{"flake-registry": "/r.json"},
		},
		"a network file system": {
			options: nixconf.Options{NoWAL: true, NoWALReason: "the state directory is on NFS"},
			differ:  map[string]string{"use-sqlite-wal": "false"},
			comment: "# the state directory is on NFS: the database",
		},
		"jobs and cores": {
			options: nixconf.Options{MaxJobs: 3, Cores: 2},
			differ:  map[string]string{"max-jobs": "3", "cores": "2"},
		},
		"a reason that looks like a setting": {
			options: nixconf.Options{SubstitutersReason: "x\nsandbox = true\r\u2028store = daemon"},
			comment: "x sandbox = true store = daemon.\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.options.Layout = layout(t)
			conf, err := nixconf.Render(tt.options)
			if err != nil {
				t.Fatal(err)
			}
			want := bare()
			maps.Copy(want, tt.differ)
			if diff := cmp.Diff(want, settings(t, conf)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if !strings.Contains(string(conf), tt.comment) {
				t.Errorf("no comment %q in\n%s", tt.comment, conf)
			}
		})
	}
}

func TestEverySettingHasAReason(t *testing.T) {
	conf, err := nixconf.Render(nixconf.Options{Layout: layout(t), NoWAL: true, MaxJobs: 1, Cores: 1})
	if err != nil {
		t.Fatal(err)
	}
	for paragraph := range strings.SplitSeq(string(conf), "\n\n") {
		if !strings.HasPrefix(paragraph, "# ") {
			t.Errorf("no comment above\n%s", paragraph)
		}
	}
	for i, line := range strings.Split(string(conf), "\n") {
		if strings.TrimRight(line, " \t") != line {
			t.Errorf("line %d ends in a blank: %q", i+1, line)
		}
	}
	if strings.Contains(string(conf), "\n\n\n") || !strings.HasSuffix(string(conf), "\n") {
		t.Errorf("untidy:\n%s", conf)
	}
}

func TestTheUsersFileIsReadLast(t *testing.T) {
	conf, err := nixconf.Render(nixconf.Options{Layout: layout(t), NoWAL: true, MaxJobs: 1, Cores: 1})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(conf), "\n!include nix.custom.conf\n") {
		t.Errorf("nix.conf ends in %q", conf[len(conf)-60:])
	}
}

func TestRefusesWhatNixWouldMisread(t *testing.T) {
	good := layout(t)
	tests := map[string]struct {
		change func(*nixconf.Options)
		want   string
	}{
		"no layout":             {func(o *nixconf.Options) { o.Layout = prefix.Layout{} }, `render nix.conf: store directory "": is not an absolute path`},
		"newline in a path":     {func(o *nixconf.Options) { o.CABundle = "/a\nsandbox = true" }, `render nix.conf: certificates "/a\nsandbox = true": contains white space or a control character`},
		"blank in a path":       {func(o *nixconf.Options) { o.Layout.State = "/a b" }, `render nix.conf: state directory "/a b": contains white space or a control character`},
		"comment in a path":     {func(o *nixconf.Options) { o.Layout.Packages = "/a#b" }, `render nix.conf: package set "/a#b": contains "#", which begins a comment`},
		"not UTF-8":             {func(o *nixconf.Options) { o.Layout.Store = "/a\xff" }, `render nix.conf: store directory "/a\xff": is not valid UTF-8`},
		"relative nixpkgs":      {func(o *nixconf.Options) { o.Nixpkgs = "n" }, `render nix.conf: nixpkgs "n": is not an absolute path`},
		"relative registry":     {func(o *nixconf.Options) { o.FlakeRegistry = "r.json" }, `render nix.conf: flake registry "r.json": is not an absolute path`},
		"two URLs in one":       {func(o *nixconf.Options) { o.Substituters = []nixconf.Substituter{{"http://a http://b", "k:A"}} }, `render nix.conf: substituter "http://a http://b": contains white space or a control character`},
		"a cache without a key": {func(o *nixconf.Options) { o.Substituters = []nixconf.Substituter{{"http://a", ""}} }, `render nix.conf: public key: is empty`},
		"a key without a name":  {func(o *nixconf.Options) { o.Substituters = []nixconf.Substituter{{"http://a", ":A"}} }, `render nix.conf: public key ":A": is not <name>:<key>`},
		"two stores in one":     {func(o *nixconf.Options) { o.Local = "local daemon" }, `render nix.conf: local store "local daemon": contains white space or a control character`},
		"negative jobs":         {func(o *nixconf.Options) { o.MaxJobs = -1 }, `render nix.conf: jobs -1, cores 0: must not be negative`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := nixconf.Options{Layout: good}
			tt.change(&o)
			_, err := nixconf.Render(o)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestRenderBorrowed(t *testing.T) {
	conf, err := nixconf.RenderBorrowed([]nixconf.Borrowed{
		{Store: "/nix/store", Sandbox: []string{"/nix/store?", "/nix/var/nix/profiles?"}},
		{Store: "/b/store", Sandbox: []string{"/b/store=/image/b/store?"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(conf)) {
		if !strings.HasPrefix(line, "#") && line != "\n" {
			got = append(got, strings.TrimSuffix(line, "\n"))
		}
	}
	want := []string{
		"extra-sandbox-paths = /nix/store? /nix/var/nix/profiles?",
		"extra-sandbox-paths = /b/store=/image/b/store?",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, bad := range []nixconf.Borrowed{
		{Store: "b/store"}, {Store: "/b\nsandbox = false"}, {Store: "/b/store", Sandbox: []string{"/b /etc"}}, {Store: "/b/store", Sandbox: []string{"/b#"}},
	} {
		if text, err := nixconf.RenderBorrowed([]nixconf.Borrowed{bad}); err == nil {
			t.Errorf("%+v is written as\n%s", bad, text)
		}
	}
}
