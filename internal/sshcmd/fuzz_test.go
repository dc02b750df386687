package sshcmd_test

import (
	"testing"

	"bootstrap/internal/sshcmd"
)

// FuzzParseKey: what a host says of its key is read as its text is read again, or not at all.
func FuzzParseKey(f *testing.F) {
	f.Add("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA a comment")
	f.Add("ssh-rsa AAAA")
	f.Add("x //////////8=")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := sshcmd.ParseKey(text)
		if err != nil {
			return
		}
		again, err := sshcmd.ParseKey(key.String())
		if err != nil || !again.Equal(key) {
			t.Errorf("%q becomes %q, %v", text, key, err)
		}
	})
}
