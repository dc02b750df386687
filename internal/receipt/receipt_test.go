package receipt_test

import (
	"bytes"
	std "cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/fault"
	"bootstrap/internal/prefix"
	"bootstrap/internal/receipt"
)

// v1 is what testdata/v1.json says.
func v1() receipt.Receipt {
	when := time.Date(2026, 9, 12, 8, 10, 0, 0, time.UTC)
	return receipt.Receipt{
		Version: 1, Created: when, Updated: when, Installer: "0.1.0",
		Layout: prefix.Layout{
			Root: "/opt", Store: "/opt/store", State: "/opt/var/nix", Log: "/opt/var/log/nix", Conf: "/opt/etc/nix",
			Work: "/opt/var/bootstrap", RunLog: "/opt/var/log/bootstrap", Share: "/opt/share/bootstrap",
			Packages: "/opt/share/bootstrap/packages", ProfileD: "/opt/etc/profile.d", ResolvedFrom: "/srv/opt/store",
		},
		NixVersion: "2.26.3",
		LockDigest: "5f0c9b5c3e7f0c1d2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091",
		Stages: []receipt.Stage{
			{Name: "fetch", Key: "a1b2c3", Seconds: 11.5, Bytes: 215000000},
			{
				Name: "native", Key: "d4e5f6", Seconds: 309, Bytes: 50000000,
				Outputs: map[string]string{"nix": "/opt/store/0123456789abcdfghijklmnpqrsvwxyz-nix-2.26.3"},
			},
		},
		Made:  []receipt.Made{{Kind: "directory", Path: "/opt/var"}, {Kind: "tree", Path: "/opt/store"}},
		Hooks: []receipt.Hook{{Shell: "bash", File: "/home/a/.bashrc"}},
		Host:  receipt.Host{Name: "build1", Architecture: "amd64", Kernel: "6.1.0", FileSystem: "ext4", UID: 1000, UserNamespaces: true},
	}
}

// runtime is what testdata/v1-runtime.json says, and with a store directory v1-diverted.json.
func runtime(diverted string) receipt.Receipt {
	r := v1()
	r.Mode, r.Diverted = receipt.Runtime, diverted
	r.Stages[1] = receipt.Stage{Name: "runtime", Key: "d4e5f6", Seconds: 2, Outputs: map[string]string{"store": std.Or(diverted, r.Layout.Store)}}
	return r
}

// old is what testdata has of each form that a receipt has had, in each version of its format.
func old() map[string]receipt.Receipt {
	return map[string]receipt.Receipt{"v1.json": v1(), "v1-runtime.json": runtime(""), "v1-diverted.json": runtime("/nix/store"), "v2.json": v2()}
}

// v2 is what testdata/v2.json says.
func v2() receipt.Receipt {
	r := v1()
	r.Version = 2
	r.Borrowed = []receipt.Loan{
		{
			Store: "/nix/store", State: "/nix/var/nix", Since: r.Created, Sandbox: []string{"/nix/store?", "/nix/var/nix/profiles?"},
			Paths: []receipt.Lent{{Path: "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-zip-3.0"}},
		},
		{
			Store: "/srv/store", Files: "/image/srv/store", State: "/image/srv/var/nix", Since: r.Created, Sandbox: []string{"/srv/store=/image/srv/store?"},
			Paths: []receipt.Lent{{
				Path: "/srv/store/0123456789abcdfghijklmnpqrsvwxyz-gcc",
				Root: "/image/srv/var/nix/gcroots/bootstrap-lent/%2Fopt%2Fstore/0123456789abcdfghijklmnpqrsvwxyz-gcc",
			}},
		},
	}
	return r
}

func TestLoadReadsReceiptsOfOldReleases(t *testing.T) {
	for name, want := range old() {
		got, err := receipt.Load(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if s, ok := got.Stage(got.Stages[1].Name); !ok || s.Key != "d4e5f6" {
			t.Errorf("%s: its second stage is %+v, %v", name, s, ok)
		}
	}
}

// What has no need of a newer version is readable by programs that know the older ones only.
func TestWriteTakesTheOldestVersion(t *testing.T) {
	for name, r := range old() {
		path := filepath.Join(t.TempDir(), "receipt.json")
		r.Version = 0
		if err := receipt.Write(path, r); err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestParseRefusesLoans(t *testing.T) {
	good, err := os.ReadFile(filepath.Join("testdata", "v2.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ from, to, want string }{
		"in an old version":    {`"version": 2`, `"version": 1`, "version 1 has no such field"},
		"one store twice":      {`"store": "/srv/store"`, `"store": "/nix/store"`, "not the first"},
		"a relative state":     {`"state": "/nix/var/nix"`, `"state": "nix"`, "borrowed[0]"},
		"files that are not":   {`"files": "/image/srv/store"`, `"files": "/image/.."`, "borrowed[1]"},
		"a path of elsewhere":  {`"path": "/nix/store/`, `"path": "/etc/`, "not one of that store"},
		"a path in a path":     {`xyz-zip-3.0"`, `xyz-zip-3.0/bin"`, "not one of that store"},
		"the store for a path": {`"path": "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-zip-3.0"`, `"path": "/nix/store"`, "not one of that store"},
	} {
		if !bytes.Contains(good, []byte(tt.from)) {
			t.Fatalf("%s: no %q in the receipt", name, tt.from)
		}
		_, err := receipt.Parse(bytes.Replace(good, []byte(tt.from), []byte(tt.to), 1))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error = %v, want %q in it", name, err, tt.want)
		}
	}
}

func TestWriteThenLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "receipt.json")
	if err := os.WriteFile(path, []byte("half a rec"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := receipt.Write(path, v1()); err != nil {
		t.Fatal(err)
	}
	got, err := receipt.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v1(), *got); diff != "" {
		t.Errorf("receipt (-want +got):\n%s", diff)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || info.Mode() != 0o644 {
		t.Errorf("%d files, mode %v; want one of 0644", len(entries), info.Mode())
	}
	// The committed receipt is what is written today, so that a changed format shows.
	want, err := os.ReadFile(filepath.Join("testdata", "v1.json"))
	if err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(written)); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

func TestWriteKeepsTheOldOneWhenItFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "receipt.json")
	if err := receipt.Write(path, v1()); err != nil {
		t.Fatal(err)
	}
	bad := v1()
	bad.Made = append(bad.Made, receipt.Made{Kind: "tree", Path: "/opt/../home"})
	if err := receipt.Write(path, bad); err == nil {
		t.Fatal("no error")
	}
	if _, err := receipt.Load(path); err != nil {
		t.Error(err)
	}
}

func TestParseRefuses(t *testing.T) {
	good, err := os.ReadFile(filepath.Join("testdata", "v1.json"))
	if err != nil {
		t.Fatal(err)
	}
	swap := func(from, to string) []byte {
		if !bytes.Contains(good, []byte(from)) {
			t.Fatalf("no %q in the receipt", from)
		}
		return bytes.Replace(good, []byte(from), []byte(to), 1)
	}
	tests := []struct {
		name       string
		data       []byte
		want, hint string
	}{
		{"empty", nil, "is empty", "again"},
		{"cut in half", good[:len(good)/2], "cut off after", "again"},
		{"zeros", make([]byte, 100), "at byte 1", "again"},
		{"two objects", append(bytes.Clone(good), good...), "after top-level value", "again"},
		{"a newer version", []byte(`{"version": 3, "anything": true}`), "newer bootstrap", "newer bootstrap"},
		{"no version", []byte(`{}`), "version 0", "again"},
		{"an unknown field", swap(`"installer"`, `"instalelr"`), "instalelr", "again"},
		{"a relative store", swap(`"/opt/store"`, `"opt/store"`), "opt/store", "again"},
		{"an unclean path", swap(`"path": "/opt/var"`, `"path": "/opt/var/.."`), "made[0]", "again"},
		{"the root", swap(`"path": "/opt/var"`, `"path": "/"`), "made[0]", "again"},
		{"a relative hook", swap(`"/home/a/.bashrc"`, `".bashrc"`), "hooks[0]", "again"},
		{"a stage twice", swap(`"name": "native"`, `"name": "fetch"`), "stages[1]", "again"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "receipt.json")
			if err := os.WriteFile(path, tt.data, 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := receipt.Load(path)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error = %v, want %q in it", err, tt.want)
			}
			if newer := errors.Is(err, receipt.ErrNewer); newer == errors.Is(err, receipt.ErrDamaged) || newer != (tt.name == "a newer version") {
				t.Errorf("error = %v is newer: %v", err, newer)
			}
			if got := fault.HintOf(err); !strings.Contains(got, tt.hint) {
				t.Errorf("hint = %q, want %q in it", got, tt.hint)
			}
		})
	}
}

func TestLoadOfNothing(t *testing.T) {
	_, err := receipt.Load(filepath.Join(t.TempDir(), "none"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error = %v, want fs.ErrNotExist", err)
	}
}

func FuzzParse(f *testing.F) {
	good, err := os.ReadFile(filepath.Join("testdata", "v1.json"))
	if err != nil {
		f.Fatal(err)
	}
	for name := range old() {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add(good[:len(good)/2])
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := receipt.Parse(data)
		if err != nil {
			return
		}
		for _, m := range r.Made {
			if !filepath.IsAbs(m.Path) || m.Path == "/" || strings.Contains(m.Path, "/../") {
				t.Errorf("made %q", m.Path)
			}
		}
	})
}
