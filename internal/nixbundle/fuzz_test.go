package nixbundle_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"bootstrap/internal/bundletest"
	"bootstrap/internal/nixbundle"
)

// FuzzReadHead: what is read as a head, before anything is known of whoever wrote it, stays within its length and can
// be said again.
func FuzzReadHead(f *testing.F) {
	f.Add([]byte("\x5b\x2a\x4d\x18\x02\x00\x00\x00{}"))
	f.Add([]byte("\x5b\x2a\x4d\x18\xff\xff\xff\xff{}\n"))
	head := []byte(`{"bundle":1,"store":"/opt/store","state":"/s","log":"/l","conf":"/c","nix":"/opt/store/x","derivation":"/opt/store/y",` +
		`"paths":1,"bytes":1,"size":1,"sha256":"` + string(bytes.Repeat([]byte("0"), 64)) + "\"}\nSig: a:b\n")
	f.Add(append([]byte{0x5b, 0x2a, 0x4d, 0x18, byte(len(head)), byte(len(head) >> 8), 0, 0}, head...))
	key := bundletest.Key(f, "maker").Public()
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := nixbundle.ReadHead(bytes.NewReader(data))
		if err != nil {
			return
		}
		if a.Length > int64(len(data)) {
			t.Errorf("a head of %d bytes in %d", a.Length, len(data))
		}
		if a.SignedBy(key) {
			t.Error("it is signed")
		}
		if _, err := json.Marshal(a.Head); err != nil {
			t.Error(err)
		}
	})
}
