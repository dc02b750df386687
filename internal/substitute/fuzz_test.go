package substitute

import (
	"bytes"
	"crypto/rand"
	"testing"

	"bootstrap/internal/drv"

	"zombiezen.com/go/nix"
)

// FuzzInfo: of what another cache says of a path, only what was signed there is taken.
func FuzzInfo(f *testing.F) {
	const store, base = "/opt/store", "0123456789abcdfghijklmnpqrsvwxyz-hello"
	_, secret, err := nix.GenerateKey("upstream-1", rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	info := &nix.NARInfo{
		StorePath: store + "/" + base, URL: "nar/x.nar.xz", Compression: nix.XZ,
		NARHash: nix.NewHash(nix.SHA256, make([]byte, 32)), NARSize: 120, References: []nix.StorePath{store + "/" + base},
	}
	sig, err := nix.SignNARInfo(secret, info)
	if err != nil {
		f.Fatal(err)
	}
	info.AddSignatures(sig)
	good, err := info.MarshalText()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(bytes.Replace(good, []byte("URL: nar"), []byte("URL: https://elsewhere/nar"), 1))
	f.Add(bytes.Replace(good, []byte("NarSize: 120"), []byte("NarSize: 121"), 1))
	f.Add(append(bytes.Clone(good), good...))
	u := &Upstream{store: drv.Dir(store), keys: []*nix.PublicKey{secret.PublicKey()}}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := u.check(base, text)
		if err != nil {
			return
		}
		if got.NARSize != 120 || !got.NARHash.Equal(info.NARHash) || len(got.References) != 1 || got.References[0] != info.StorePath {
			t.Errorf("%q: %+v", text, got)
		}
	})
}
