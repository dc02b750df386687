package sshcmd_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bootstrap/internal/fault"
	"bootstrap/internal/run"
	"bootstrap/internal/sshcmd"
	"bootstrap/internal/sshtest"
)

// client returns one that knows a server by its alias.
func client(t *testing.T, s *sshtest.Server) sshcmd.Client {
	t.Helper()
	program, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip("ssh is not on this machine")
	}
	return sshcmd.Client{Program: program, Options: []string{"-F", s.Config}, Env: run.BaseEnv(t.TempDir(), t.TempDir(), "/usr/bin:/bin")}
}

// pinned writes the key that a server is known by into a file.
func pinned(t *testing.T, name string, key sshcmd.Key) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "known")
	if err := os.WriteFile(file, []byte(name+" "+key.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestRealServer(t *testing.T) {
	sshtest.Program(t)
	s := sshtest.Start(t, t.TempDir(), sshtest.Options{})
	c := client(t, s)
	name, key, err := c.HostKey(t.Context(), s.Host, t.TempDir())
	if err != nil {
		t.Fatal(err, s.Said())
	}
	if key.String() != s.HostKey || !strings.HasPrefix(name, "[127.0.0.1]:") {
		t.Errorf("it is known as %q by %q", name, key)
	}
	fingerprint, err := exec.Command("ssh-keygen", "-l", "-f", filepath.Join(s.Dir, "host.pub")).Output()
	if err != nil || !strings.Contains(string(fingerprint), " "+key.Fingerprint()+" ") {
		t.Errorf("fingerprint %s; ssh-keygen prints %s, %v", key.Fingerprint(), fingerprint, err)
	}
	if strings.Contains(s.Said(), "Accepted publickey") {
		t.Errorf("asked for its key, it let somebody in:\n%s", s.Said())
	}

	known := pinned(t, name, key)
	out, err := c.Output(t.Context(), s.Host, known, strings.NewReader("to it\n"), "/bin/cat", "-")
	if err != nil || string(out) != "to it\n" {
		t.Errorf("%q, %v", out, err)
	}
	_, err = c.Output(t.Context(), s.Host, known, nil, "/bin/sh", "-c", "false;true")
	if err == nil || errors.Is(err, sshcmd.ErrHost) {
		t.Errorf("a word that a shell would read: %v", err)
	}
	var failed *run.Error
	if _, err = c.Output(t.Context(), s.Host, known, nil, "/nowhere/nix"); !errors.As(err, &failed) || failed.ExitCode != 127 || errors.Is(err, sshcmd.ErrHost) {
		t.Errorf("a program that is not there: %v", err)
	}

	before := read(t, known)
	s.End()
	wants(t, c, s, known, fault.Unfit, "connection refused")
	s.NewHostKey(t)
	s.Begin(t)
	wants(t, c, s, known, fault.Verify, "its host key is not the one that is known")
	if after := read(t, known); after != before {
		t.Errorf("the file of known keys is another now: %q", after)
	}
	if _, key, err = c.HostKey(t.Context(), s.Host, t.TempDir()); err != nil || key.String() != s.HostKey {
		t.Errorf("the new key: %q, %v", key, err)
	}
	known = pinned(t, name, key)
	other := filepath.Join(t.TempDir(), "other")
	sshtest.Keygen(t, other)
	if err := os.WriteFile(s.Config, []byte(strings.Replace(read(t, s.Config), s.Identity, other, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	wants(t, c, s, known, fault.Unfit, "it does not let you in")
	c.Identity = s.Identity
	if _, err := c.Output(t.Context(), s.Host, known, nil, "/bin/true"); err != nil {
		t.Errorf("with the key named: %v", err)
	}
}

func wants(t *testing.T, c sshcmd.Client, s *sshtest.Server, known string, kind fault.Kind, text string) {
	t.Helper()
	_, err := c.Output(t.Context(), s.Host, known, nil, "/bin/true")
	if err == nil || err.Error() != text || fault.KindOf(err) != kind || fault.HintOf(err) == "" || !errors.Is(err, sshcmd.ErrHost) {
		t.Errorf("got %v (kind %d, hint %q), want %q", err, fault.KindOf(err), fault.HintOf(err), text)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestParseKey(t *testing.T) {
	const good = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHiZ1Ju9T8FT5xPKsX3p4zyZzmLhGTXGGZX1vZv9Wnyl"
	for text, ok := range map[string]bool{
		good:                true,
		good + " root@host": true,
		"  " + good + "\n":  true,
		strings.Replace(good, "25519 ", "25518 ", 1): false,
		"ssh-ed25519":                     false,
		"ssh-ed25519 ****":                false,
		"ssh-ed25519 AAAA":                false,
		"ssh-ed25519 AAAAIHiZ1Ju9T8FT5xP": false,
		"":                                false,
	} {
		k, err := sshcmd.ParseKey(text)
		if ok != (err == nil) || ok && k.String() != good {
			t.Errorf("%q: %q, %v", text, k, err)
		}
	}
}

func TestPlain(t *testing.T) {
	for word, want := range map[string]bool{
		"/opt/store/bin/nix-daemon": true, "user@host": true, "x86_64-linux": true, "": false, "a b": false, "$HOME": false,
		"`x`": false, "a;b": false, "a&b": false, "a'b": false, "a*": false, "~/x": false, "a\nb": false, "(x)": false, "é": false,
	} {
		if got := sshcmd.Plain(word); got != want {
			t.Errorf("Plain(%q) = %t", word, got)
		}
	}
}
