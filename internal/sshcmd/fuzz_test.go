package sshcmd_test

import (
	"strings"
	"testing"

	"bootstrap/internal/sshcmd"
)

// FuzzParseKey: what a host shows for its key is one line of two words, and is read back as it is.
func FuzzParseKey(f *testing.F) {
	f.Add("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHiZ1Ju9T8FT5xPKsX3p4zyZzmLhGTXGGZX1vZv9Wnyl a comment")
	f.Add("ssh-ed25519 AAAAC3NzaC1yc2E=")
	f.Add("ssh-ed25519 AAAA")
	f.Add("x /////w==")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := sshcmd.ParseKey(text)
		if err != nil {
			return
		}
		line := key.String()
		if words := strings.Fields(line); len(words) != 2 || strings.Join(words, " ") != line {
			t.Errorf("%q becomes %q", text, line)
		}
		if again, err := sshcmd.ParseKey(line); err != nil || !again.Equal(key) || again.Fingerprint() != key.Fingerprint() {
			t.Errorf("%q: read again it is %v, %v", line, again, err)
		}
	})
}
