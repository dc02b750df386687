package substitute

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"zombiezen.com/go/nix"
)

// FuzzNARInfo: nothing that a cache says of a path is taken that a key which is trusted has not signed,
// for that path.
func FuzzNARInfo(f *testing.F) {
	const base = "00000000000000000000000000000000-x"
	public, private, err := nix.GenerateKey("a", bytes.NewReader(make([]byte, 32)))
	if err != nil {
		f.Fatal(err)
	}
	u := &Upstream{store: "/nix/store", keys: []*nix.PublicKey{public}}
	info := &nix.NARInfo{
		StorePath: "/nix/store/" + base, URL: "nar/x.nar", Compression: nix.NoCompression,
		NARHash: nix.NewHash(nix.SHA256, make([]byte, 32)), NARSize: 96,
	}
	sign := func() []byte {
		sig, err := nix.SignNARInfo(private, info)
		if err != nil {
			f.Fatal(err)
		}
		info.Sig = []*nix.Signature{sig}
		text, err := info.MarshalText()
		if err != nil {
			f.Fatal(err)
		}
		return text
	}
	good := sign()
	if _, err := u.check(base, good); err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(bytes.Replace(good, []byte("NarSize: 96"), []byte("NarSize: 97"), 1))
	f.Add(bytes.Replace(good, []byte("-x\n"), []byte("-y\n"), 1))
	f.Add([]byte("StorePath: \nSig: \n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := u.check(base, text)
		if err != nil {
			return
		}
		// Of what is signed, nothing can be changed.
		if got.StorePath != info.StorePath || got.NARSize != info.NARSize || !got.NARHash.Equal(info.NARHash) || len(got.References) > 0 {
			t.Errorf("taken: %s", text)
		}
	})
}

// FuzzUnpack: whatever a compressed file has, unpacking ends, and takes no more than was asked for.
func FuzzUnpack(f *testing.F) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, strings.Repeat("text ", 100)); err != nil {
		f.Fatal(err)
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	kinds := []nix.CompressionType{nix.NoCompression, nix.XZ, nix.Zstandard, nix.Gzip, nix.Bzip2, nix.Brotli}
	f.Add(uint8(0), []byte("text"))
	f.Add(uint8(1), []byte("\xfd7zXZ\x00\x00\x04"))
	f.Add(uint8(2), []byte("\x28\xb5\x2f\xfd\x04\x00"))
	f.Add(uint8(3), b.Bytes())
	f.Add(uint8(4), []byte("BZh91AY&SY"))
	f.Add(uint8(5), []byte("text"))
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		how := kinds[int(kind)%len(kinds)]
		plain, err := unpack(how, bytes.NewReader(data))
		if err != nil {
			return
		}
		defer plain.Close()
		if how == nix.Brotli {
			t.Error("it is read in a way that is not known")
		}
		got, err := io.ReadAll(io.LimitReader(plain, 1<<20))
		if how == nix.NoCompression && (err != nil || !bytes.Equal(got, data)) {
			t.Errorf("%q becomes %q, %v", data, got, err)
		}
	})
}
