package archive_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"bootstrap/internal/archive"
	"bootstrap/internal/debtest"
)

// newKey returns a key made a year before the fixture's date that is valid for so long; 0 is forever.
func newKey(t *testing.T, valid time.Duration) *openpgp.Entity {
	t.Helper()
	key, err := openpgp.NewEntity("Test", "", "test@example.org", &packet.Config{
		Algorithm:       packet.PubKeyAlgoEdDSA,
		Time:            func() time.Time { return debtest.Date.AddDate(-1, 0, 0) },
		KeyLifetimeSecs: uint32(valid / time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestWhichSignaturesCount(t *testing.T) {
	const day = 24 * time.Hour
	good, other := newKey(t, 0), newKey(t, 0)
	outlived := newKey(t, 300*day)      // expired when it signed
	expired := newKey(t, 365*day+1*day) // expires a day after it signed
	revoked := newKey(t, 0)
	late := &packet.Config{Time: func() time.Time { return debtest.Date.Add(time.Hour) }}
	if err := revoked.RevokeKey(packet.KeySuperseded, "retired", late); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		signers []*openpgp.Entity
		known   openpgp.EntityList
		signer  *openpgp.Entity // whose signature counts, nil for none
		text    string          // of the error
	}{
		{"known", []*openpgp.Entity{good}, openpgp.EntityList{other, good}, good, ""},
		{"unknown", []*openpgp.Entity{good}, openpgp.EntityList{other}, nil, keyID(good) + ": not known"},
		{"unknown before known", []*openpgp.Entity{other, good}, openpgp.EntityList{good}, good, ""},
		{"known before unknown", []*openpgp.Entity{good, other}, openpgp.EntityList{good}, good, ""},
		{"revoked", []*openpgp.Entity{revoked}, openpgp.EntityList{revoked}, nil, "revoked"},
		{"revoked before good", []*openpgp.Entity{revoked, good}, openpgp.EntityList{revoked, good}, good, ""},
		{"expired since", []*openpgp.Entity{expired}, openpgp.EntityList{expired}, expired, ""},
		{"expired when it signed", []*openpgp.Entity{outlived}, openpgp.EntityList{outlived}, nil, "expired"},
		{"nobody known", []*openpgp.Entity{good}, openpgp.EntityList{}, nil, "not known"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := fixture(t)
			a.Suite("trixie").Signers = tt.signers
			o := options(a, a.Serve())
			o.Keyring = tt.known
			o.Now = func() time.Time { return debtest.Date.Add(3 * day) }
			opened, err := archive.Open(t.Context(), o)
			if tt.signer == nil {
				checkVerify(t, err, tt.text, "--mirror")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, want := opened.Release().SignedBy, fmt.Sprintf("%X", tt.signer.PrimaryKey.Fingerprint); got != want {
				t.Errorf("signed by %s, want %s", got, want)
			}
		})
	}
}

func TestOnlyTheSignedTextIsTaken(t *testing.T) {
	const begin, signature = "-----BEGIN PGP SIGNED MESSAGE-----", "-----BEGIN PGP SIGNATURE-----"
	for _, tt := range []struct {
		name   string
		tamper func(string) string
		text   string
	}{
		{"a line changed", func(s string) string { return strings.Replace(s, "Codename: trixie", "Codename: trixiE", 1) }, "signature"},
		{"a line added", func(s string) string { return strings.Replace(s, "Date:", "Label: x\nDate:", 1) }, "signature"},
		{"text before", func(s string) string { return "Suite: trixie\n\n" + s }, "not a clear-signed file"},
		{"text behind", func(s string) string { return s + "\nSuite: trixie\n" }, "text after"},
		{"a message behind", func(s string) string { return s + s }, "text after"},
		{"text among the headers", func(s string) string {
			return strings.Replace(s, begin+"\n", begin+"\nSuite: trixie\n", 1)
		}, "malformed"},
		{"no signature", func(s string) string { return s[:strings.Index(s, signature)] }, "malformed"},
		{"an empty signature", func(s string) string {
			return s[:strings.Index(s, signature)] + signature + "\n\n-----END PGP SIGNATURE-----\n"
		}, "no signature"},
		{"not signed at all", func(s string) string { return s[strings.Index(s, "Suite:"):] }, "not a clear-signed file"},
		{"nothing", func(string) string { return "" }, "not a clear-signed file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := fixture(t)
			url := a.Serve()
			before := string(a.File(inRelease))
			after := tt.tamper(before)
			if after == before {
				t.Fatal("the case changes nothing")
			}
			a.Tamper(inRelease, []byte(after))
			_, err := archive.Open(t.Context(), options(a, url))
			checkVerify(t, err, tt.text, "--mirror")
		})
	}
}

func TestSignedNonsense(t *testing.T) {
	const head = "Suite: trixie\nCodename: trixie\n"
	const date = "Date: Sat, 12 Sep 2026 07:55:41 UTC\n"
	list := "SHA256:\n " + strings.Repeat("a", 64) + " 5 main/binary-amd64/Packages.xz\n"
	for _, tt := range []struct {
		name, text string
		ok         bool
	}{
		{"sound", head + date + list, true},
		{"day without zero", head + "Date: Sat,  5 Sep 2026 07:55:41 GMT\n" + list, true},
		{"no date", head + list, false},
		{"date in another zone", head + "Date: Sat, 12 Sep 2026 07:55:41 CEST\n" + list, false},
		{"bad end", head + date + "Valid-Until: soon\n" + list, false},
		{"no files", head + date, false},
		{"bad digest", head + date + strings.Replace(list, "aaa", "xxx", 1), false},
		{"bad size", head + date + strings.Replace(list, " 5 ", " -5 ", 1), false},
		{"two paragraphs", head + date + list + "\n" + head + date + list, false},
		{"no control data", "hello\n", false},
		{"empty", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := fixture(t)
			url := a.Serve()
			signed, err := debtest.ClearSign(tt.text, debtest.Date, a.Key)
			if err != nil {
				t.Fatal(err)
			}
			a.Tamper(inRelease, signed)
			_, err = archive.Open(t.Context(), options(a, url))
			if tt.ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			checkVerify(t, err, "", "--mirror")
		})
	}
}

func TestSignatureByteByByte(t *testing.T) {
	a := fixture(t)
	url := a.Serve()
	whole := a.File(inRelease)
	from := bytes.Index(whole, []byte("Date:"))
	for i := from; i < from+40; i++ {
		data := bytes.Clone(whole)
		data[i] ^= 1
		a.Tamper(inRelease, data)
		if _, err := archive.Open(t.Context(), options(a, url)); err == nil {
			t.Errorf("byte %d (%q) may change", i, whole[i])
		}
	}
}

func fingerprints(keys openpgp.EntityList) []string {
	var list []string
	for _, k := range keys {
		list = append(list, fmt.Sprintf("%X", k.PrimaryKey.Fingerprint))
	}
	slices.Sort(list)
	return list
}
