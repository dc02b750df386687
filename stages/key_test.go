package stages

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"bootstrap/internal/lock"

	"github.com/google/go-cmp/cmp"
)

// keys returns the key of every stage.
func keys(t *testing.T, o Options) map[string]string {
	t.Helper()
	r := newRun(t, o)
	states, err := r.survey(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, s := range states {
		all[s.Name] = s.Key
	}
	return all
}

// TestKeys says what makes which stage be done again.
func TestKeys(t *testing.T) {
	dir := scratch(t)
	o := options(t, dir)
	o.Host = "" // so that the packages of the host nix count
	before := keys(t, o)

	// other pins another file in place of the named one.
	other := func(name string) func(*Options) {
		return func(o *Options) {
			for i := range o.Lock.Entries {
				if e := &o.Lock.Entries[i]; e.Name == name {
					e.SHA256 = digestOf([]byte("another " + name))
				}
			}
		}
	}
	lasting := []string{Native, Configure, Install, Prove}
	// The package set that stays in the prefix has the whole lock in it.
	written := []string{Configure, Install, Prove}
	for _, tt := range []struct {
		name   string
		change func(*Options)
		want   []string
	}{
		{"nothing", func(*Options) {}, nil},
		{"a package of the toolchain", other("make"), append([]string{Fetch, Toolchain, Bootstrap}, lasting...)},
		{"a package of the host nix", other("nix-bin"), append([]string{Fetch, Host}, written...)},
		{"one of both", other("libacl1"), append([]string{Fetch, Host, Toolchain, Bootstrap}, lasting...)},
		{"the shell", other("busybox-static"), append([]string{Fetch, Host, Toolchain, Bootstrap}, lasting...)},
		{"patchelf", other("patchelf"), append([]string{Fetch, Host, Toolchain, Bootstrap}, lasting...)},
		{"the certificates", other("ca-certificates"), append([]string{Fetch, Toolchain, Bootstrap}, lasting...)},
		{"the source of Nix", other("nix"), append([]string{Fetch, Bootstrap}, lasting...)},
		{"the source of hello", other("hello"), append([]string{Fetch}, written...)},
		{"what is built for other processors", func(o *Options) {
			o.Lock.Entries = append(o.Lock.Entries, lock.Entry{
				Name: "make", Version: "5", Architecture: "m68k", Suite: "trixie", Path: "pool/make_5_m68k.deb",
				Size: 1, SHA256: digestOf(nil), Roles: []lock.Role{lock.Toolchain}, For: []string{"m68k"},
			})
		}, written},
		{"the date of the lock", func(o *Options) { o.Lock.Timestamp = "20270101T000000Z" }, written},
		{"another host nix", func(o *Options) { o.Host = "/usr/bin/nix" }, []string{Fetch, Host}},
		{"the store directory", func(o *Options) {
			o.Layout = options(t, filepath.Join(dir, "elsewhere")).Layout
		}, append([]string{Host, Toolchain, Bootstrap}, lasting...)},
		{"the state directory", func(o *Options) { o.Layout.State = "/srv/state" }, append([]string{Bootstrap}, lasting...)},
		{"the log directory", func(o *Options) { o.Layout.Log = "/srv/log" }, append([]string{Bootstrap}, lasting...)},
		{"the configuration directory", func(o *Options) { o.Layout.Conf = "/srv/etc" }, append([]string{Bootstrap}, lasting...)},
		{"how many compilers there are", func(o *Options) { o.Jobs = 7 }, nil},
		{"where files come from", func(o *Options) { o.Mirror, o.Snapshot = "http://m.example", "http://s.example" }, nil},
		{"a constraint that holds anyway", func(o *Options) { o.NixVersion = "~> 2.26" }, nil},
		{"what else is asked for", func(o *Options) { o.BuildHello, o.ShellHook = true, true }, nil},
		{"who it is for, and when", func(o *Options) { o.User, o.Run, o.Installer = "else", "run-2", "9.9" }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			changed := o
			l := *o.Lock
			l.Entries = slices.Clone(l.Entries)
			changed.Lock = &l
			tt.change(&changed)
			var got []string
			after := keys(t, changed)
			for _, s := range newRun(t, changed).pipeline() {
				if after[s.name] != before[s.name] {
					got = append(got, s.name)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("keys that change (-want +got):\n%s", diff)
			}
		})
	}
}

// Two stages with the same inputs must not be taken for each other.
func TestKeysDiffer(t *testing.T) {
	all := keys(t, options(t, scratch(t)))
	distinct := map[string]bool{}
	for key := range maps.Values(all) {
		distinct[key] = true
	}
	if len(distinct) != len(all) || len(all) != 8 {
		t.Errorf("%d stages have %d keys", len(all), len(distinct))
	}
}
