package archive

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"

	"bootstrap/internal/debtest"
)

// releaseText is what a suite says of itself, as little as it can.
const releaseText = `Suite: stable
Codename: trixie
Date: Sat, 12 Sep 2026 07:55:41 UTC
Valid-Until: Sat, 19 Sep 2026 07:55:41 UTC
Acquire-By-Hash: yes
SHA256:
 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 5 main/binary-amd64/Packages.xz
`

// FuzzInRelease changes a signed file: whatever is taken of it is what was signed.
func FuzzInRelease(f *testing.F) {
	key := debtest.NewKey(f, "Fuzz")
	stranger := debtest.NewKey(f, "Stranger")
	for _, signers := range [][]*openpgp.Entity{{key}, {stranger}, {stranger, key}} {
		signed, err := debtest.ClearSign(releaseText, debtest.Date, signers...)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(signed))
	}
	f.Add("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n- -----\n-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n")
	want := withoutLineEnds(releaseText)
	f.Fuzz(func(t *testing.T, in string) {
		text, signer, err := verify([]byte(in), openpgp.EntityList{key}, debtest.Date)
		if err != nil {
			return
		}
		if signer == "" || withoutLineEnds(string(text)) != want {
			t.Errorf("signer %q has not signed %q", signer, text)
		}
	})
}

// withoutLineEnds takes away what a signature of text does not cover: white space at the ends of lines.
// https://www.rfc-editor.org/rfc/rfc9580#section-7.2
func withoutLineEnds(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight(line, " \t\r\n") + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

func FuzzRelease(f *testing.F) {
	f.Add(releaseText)
	f.Add("SHA256: \n")
	f.Add(releaseText + "\n" + releaseText)
	f.Fuzz(func(t *testing.T, in string) {
		r, err := parseRelease([]byte(in))
		if err != nil {
			return
		}
		if r.Date.IsZero() || len(r.files) == 0 {
			t.Errorf("half a release came through: %+v", r)
		}
		for name, file := range r.files {
			if digest, err := hex.DecodeString(file.sha256); err != nil || len(digest) != 32 || file.size < 0 || name == "" {
				t.Errorf("file %q: %+v", name, file)
			}
		}
	})
}
