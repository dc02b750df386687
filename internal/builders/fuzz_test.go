package builders_test

import (
	"encoding/base64"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/builders"
)

// FuzzLoad: what is taken for the file of machines can be written again, and is the same machines then.
func FuzzLoad(f *testing.F) {
	key := base64.StdEncoding.EncodeToString([]byte(keyText))
	f.Add("# nothing\n\nssh-ng://two?remote-program=/x/nix-daemon x86_64-linux - 1 1 - - " + key + "\n")
	f.Add("ssh-ng://me@[::1]?remote-program=/x/nix-daemon a,b /home/me/key 4 1.5 kvm kvm " + base64.StdEncoding.EncodeToString([]byte(keyText+"\n[127.0.0.1]:22 "+keyText)))
	f.Add("ssh-ng://two - - 1 1e3 - - " + key)
	f.Add("two x86_64-linux - 1 1")
	f.Fuzz(func(t *testing.T, text string) {
		l := layout(t)
		if err := os.WriteFile(l.Machines(), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		all, err := builders.Load(l)
		if err != nil || len(all) == 0 {
			return
		}
		if err := builders.Save(l, all); err != nil { // which sorts them
			t.Fatalf("%q: cannot be written again: %v", text, err)
		}
		again, err := builders.Load(l)
		if diff := cmp.Diff(all, again); diff != "" || err != nil {
			t.Errorf("%q: %v, -before +after\n%s", text, err, diff)
		}
	})
}
