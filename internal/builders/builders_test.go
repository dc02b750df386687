package builders_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/builders"
	"bootstrap/internal/prefix"
	"bootstrap/internal/sshcmd"
)

const keyText = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHiZ1Ju9T8FT5xPKsX3p4zyZzmLhGTXGGZX1vZv9Wnyl"

func machine(t *testing.T, host, knownAs string) builders.Machine {
	t.Helper()
	key, err := sshcmd.ParseKey(keyText)
	if err != nil {
		t.Fatal(err)
	}
	return builders.Machine{
		Host: host, Program: "/opt/x/bin/nix-daemon", Systems: []string{"x86_64-linux", "i686-linux"}, Jobs: 4, Speed: 1.5,
		Features: []string{"big-parallel"}, Mandatory: []string{}, Key: key, KnownAs: knownAs,
	}
}

func layout(t *testing.T) prefix.Layout {
	t.Helper()
	conf := t.TempDir()
	return prefix.Layout{Store: "/opt/x/store", Conf: conf}
}

// What is saved is what is loaded, and the text is what Nix reads.
func TestSaveAndLoad(t *testing.T) {
	l := layout(t)
	a, b := machine(t, "me@two", "two"), machine(t, "[::1]", "[127.0.0.1]:2222")
	b.Identity, b.Mandatory = "/home/me/.ssh/key", []string{"kvm"}
	for range 2 {
		if err := builders.Save(l, []builders.Machine{a, b}); err != nil {
			t.Fatal(err)
		}
		got, err := builders.Load(l)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]builders.Machine{b, a}, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	text, err := os.ReadFile(l.Machines())
	if err != nil {
		t.Fatal(err)
	}
	want := "ssh-ng://me@two?remote-program=/opt/x/bin/nix-daemon x86_64-linux,i686-linux - 4 1.5 big-parallel - " +
		base64.StdEncoding.EncodeToString([]byte(keyText))
	if !strings.Contains(string(text), "\n"+want+"\n") {
		t.Errorf("there is no line %q in\n%s", want, text)
	}
	// Nix puts the host's name before the first line; the second has the one that ssh looks for.
	twice := base64.StdEncoding.EncodeToString([]byte(keyText + "\n[127.0.0.1]:2222 " + keyText))
	if !strings.Contains(string(text), " /home/me/.ssh/key 4 1.5 big-parallel kvm "+twice+"\n") {
		t.Errorf("there is no key %q in\n%s", twice, text)
	}
	known, err := os.ReadFile(l.KnownHosts())
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"two " + keyText, "[127.0.0.1]:2222 " + keyText} {
		if !strings.Contains(string(known), "\n"+line+"\n") {
			t.Errorf("there is no line %q in\n%s", line, known)
		}
	}
	if err := builders.Save(l, nil); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(l.Conf, "*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
	if err := builders.Save(l, nil); err != nil {
		t.Errorf("once more: %v", err)
	}
	if got, err := builders.Load(l); err != nil || len(got) > 0 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestSaveRefuses(t *testing.T) {
	for name, change := range map[string]func(*builders.Machine){
		"a blank in the key":      func(m *builders.Machine) { m.Identity = "/home/a b/key" },
		"a relative key":          func(m *builders.Machine) { m.Identity = "key" },
		"a comment":               func(m *builders.Machine) { m.Identity = "/home/#/key" },
		"a shell's sign":          func(m *builders.Machine) { m.Program = "/opt/$x/nix-daemon" },
		"a list in a feature":     func(m *builders.Machine) { m.Features = []string{"a,b"} },
		"a blank in a system":     func(m *builders.Machine) { m.Systems = []string{"a b"} },
		"no jobs":                 func(m *builders.Machine) { m.Jobs = 0 },
		"no speed":                func(m *builders.Machine) { m.Speed = 0 },
		"a semicolon for a place": func(m *builders.Machine) { m.Identity = "/a;b" },
	} {
		t.Run(name, func(t *testing.T) {
			l, m := layout(t), machine(t, "two", "two")
			change(&m)
			if err := builders.Save(l, []builders.Machine{m}); err == nil {
				t.Error("it is taken")
			}
			if left, _ := filepath.Glob(filepath.Join(l.Conf, "*")); len(left) > 0 {
				t.Errorf("written: %q", left)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	line := "ssh-ng://two?remote-program=/x/nix-daemon x86_64-linux - 1 1 - - " + base64.StdEncoding.EncodeToString([]byte(keyText))
	for text, ok := range map[string]bool{
		line: true, "# nothing\n\n" + line + " # more": true,
		"ssh://two x86_64-linux - 1 1 - - -":            false,
		"ssh-ng://two x86_64-linux":                     false,
		strings.Replace(line, " 1 1 ", " x 1 ", 1):      false,
		strings.Replace(line, " 1 1 ", " 1 fast ", 1):   false,
		line[:len(line)-4]:                              false,
		strings.Replace(line, "ssh-ng://two", "two", 1): false,
	} {
		l := layout(t)
		if err := os.WriteFile(l.Machines(), []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := builders.Load(l)
		if ok != (err == nil) || ok && len(got) != 1 {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestParseURL(t *testing.T) {
	for url, want := range map[string]string{
		"ssh-ng://two": "two", "ssh-ng://me@two.example.org": "me@two.example.org", "ssh-ng://[::1]": "[::1]", "ssh-ng://me@[fe80::1]": "me@[fe80::1]",
		"two": "", "ssh://two": "", "https://two": "", "ssh-ng://": "", "ssh-ng://me@": "", "ssh-ng://@two": "", "ssh-ng://two:22": "",
		"ssh-ng://[::1]:22": "", "ssh-ng://[one]": "", "ssh-ng://two?compress=true": "", "ssh-ng://two/x": "", "ssh-ng://-oProxyCommand=x": "",
		"ssh-ng://me@-x": "", "ssh-ng://localhost": "", "ssh-ng://a b": "", "ssh-ng://$x": "", "ssh-ng://me@localhost": "me@localhost",
	} {
		got, err := builders.ParseURL(url)
		if got != want && want != "" || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", url, got, err)
		}
	}
}

func TestFind(t *testing.T) {
	all := []builders.Machine{{Host: "me@one"}, {Host: "two"}, {Host: "you@two"}}
	for name, want := range map[string]int{
		"ssh-ng://me@one": 0, "me@one": 0, "one": 0, "two": 1, "you@two": 2, "ssh-ng://you@two": 2, "me@two": -1, "": -1,
	} {
		if got := builders.Find(all, name); got != want {
			t.Errorf("Find(%q) = %d, want %d", name, got, want)
		}
	}
}
