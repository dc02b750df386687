package drv_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"

	"bootstrap/internal/drv"
)

// oracle computes a store path as the manual's chapter on store paths says, with big integers for base 32.
func oracle(dir, typ, digest, name string) string {
	sum := sha256.Sum256([]byte(typ + ":" + digest + ":" + dir + ":" + name))
	var short [20]byte
	for i, c := range sum {
		short[i%20] ^= c
	}
	// The last byte is the most significant one.
	n := new(big.Int)
	for i := len(short) - 1; i >= 0; i-- {
		n.Lsh(n, 8).Or(n, big.NewInt(int64(short[i])))
	}
	const digits = "0123456789abcdfghijklmnpqrsvwxyz"
	text := make([]byte, 32)
	for i := len(text) - 1; i >= 0; i-- {
		text[i] = digits[new(big.Int).And(n, big.NewInt(31)).Int64()]
		n.Rsh(n, 5)
	}
	return dir + "/" + string(text) + "-" + name
}

func TestPathsFollowTheManual(t *testing.T) {
	const dir = "/opt/some/store"
	d := drv.Dir(dir)
	sum := sha256.Sum256([]byte("x"))
	in := "sha256:" + hex.EncodeToString(sum[:])
	inner := func(method string) string {
		s := sha256.Sum256([]byte("fixed:out:" + method + ":"))
		return "sha256:" + hex.EncodeToString(s[:])
	}
	long := strings.Repeat("0123456789abcdef", 8)
	fixed := func(method, algo string, digits int) drv.Fixed {
		return drv.Fixed{Method: method, Algo: algo, Hash: long[:digits]}
	}
	for name, c := range map[string]struct{ got, want string }{
		"text":                 {d.Text("n", sum, nil), oracle(dir, "text", in, "n")},
		"text with references": {d.Text("n", sum, []string{"/a", "/b"}), oracle(dir, "text:/a:/b", in, "n")},
		"source":               {d.Source("n", sum, nil, false), oracle(dir, "source", in, "n")},
		"source with itself":   {d.Source("n", sum, []string{"/a"}, true), oracle(dir, "source:/a:self", in, "n")},
		"out":                  {d.Output("n", "out", sum), oracle(dir, "output:out", in, "n")},
		"another output":       {d.Output("n", "dev", sum), oracle(dir, "output:dev", in, "n-dev")},
		"nar sha256":           {d.Fixed("n", fixed("r:", "sha256", 64)), oracle(dir, "source", "sha256:"+long[:64], "n")},
		"fixed text":           {d.Fixed("n", fixed("text:", "sha256", 64)), oracle(dir, "text", "sha256:"+long[:64], "n")},
		"flat sha256":          {d.Fixed("n", fixed("", "sha256", 64)), oracle(dir, "output:out", inner("sha256:"+long[:64]), "n")},
		"flat md5":             {d.Fixed("n", fixed("", "md5", 32)), oracle(dir, "output:out", inner("md5:"+long[:32]), "n")},
		"nar sha1":             {d.Fixed("n", fixed("r:", "sha1", 40)), oracle(dir, "output:out", inner("r:sha1:"+long[:40]), "n")},
		"nar sha512":           {d.Fixed("n", fixed("r:", "sha512", 128)), oracle(dir, "output:out", inner("r:sha512:"+long[:128]), "n")},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	hash := strings.Repeat("0", drv.HashLen)
	for base, ok := range map[string]bool{
		hash + "-a":                           true,
		hash + "-.hidden":                     true,
		hash + "-...":                         true,
		hash + "-" + strings.Repeat("a", 211): true,
		hash + "-" + strings.Repeat("a", 212): false,
		hash + "-":                            false,
		hash + "-.":                           false,
		hash + "-..":                          false,
		hash + "-..-x":                        false,
		hash + "-a/b":                         false,
		hash + "-ä":                           false,
		hash + "_a":                           false,
		hash[1:] + "e-a":                      false, // e is no digit
		hash[1:] + "-a":                       false,
		"":                                    false,
	} {
		if err := drv.CheckBase(base); (err == nil) != ok {
			t.Errorf("%q: %v", base, err)
		}
	}
}
