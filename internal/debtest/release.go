package debtest

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// releaseTime is the form of dates in a Release file.
const releaseTime = "Mon, 02 Jan 2006 15:04:05 UTC"

// NewKey returns a new signing key, made a year before [Date], that never expires.
func NewKey(t testing.TB, name string) *openpgp.Entity {
	t.Helper()
	key, err := openpgp.NewEntity(name, "", "archive@example.org", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA,
		Time:      func() time.Time { return Date.AddDate(-1, 0, 0) },
	})
	if err != nil {
		t.Fatalf("debtest: new key: %v", err)
	}
	return key
}

// Path returns where the package's file is, below the archive's URL.
// As in Debian, the version's epoch is not part of the name.
func (p Package) Path() string {
	source, _, _ := strings.Cut(p.Fields["Source"], " ")
	if source == "" {
		source = p.Name
	}
	return fmt.Sprintf("%s/%s_%s_%s.deb", poolDir(source), p.Name, withoutEpoch(p.Version), p.arch())
}

// Dir returns the directory of the source's files, below the archive's URL.
func (s Source) Dir() string { return poolDir(s.Name) }

func (p Package) arch() string {
	if p.Arch == "" {
		return "amd64"
	}
	return p.Arch
}

func poolDir(source string) string {
	prefix := source[:1]
	if strings.HasPrefix(source, "lib") && len(source) > 3 {
		prefix = source[:4]
	}
	return "pool/main/" + prefix + "/" + source
}

func withoutEpoch(version string) string {
	if _, rest, ok := strings.Cut(version, ":"); ok {
		return rest
	}
	return version
}

// write adds the suite's files to files, by path.
func (s *Suite) write(files map[string][]byte, key *openpgp.Entity) error {
	indexes := map[string][]byte{}
	paragraphs := make([]string, len(s.Packages))
	for i, p := range s.Packages {
		deb := p.Deb
		if deb == nil {
			deb = Deb(p.Name, p.Version, p.Entries, &DebOptions{Arch: p.Arch, Fields: p.Fields})
		}
		files[p.Path()] = deb
		paragraphs[i] = p.index(deb)
	}
	for _, arch := range s.architectures() {
		var b strings.Builder
		for i, p := range s.Packages {
			if p.arch() == arch || p.arch() == "all" {
				b.WriteString(paragraphs[i] + "\n")
			}
		}
		addIndex(indexes, "main/binary-"+arch+"/Packages", b.String())
	}
	var b strings.Builder
	for _, src := range s.Sources {
		for name, data := range src.Files {
			files[src.Dir()+"/"+name] = data
		}
		b.WriteString(src.index() + "\n")
	}
	addIndex(indexes, "main/source/Sources", b.String())
	for name, data := range indexes {
		files["dists/"+s.Name+"/"+name] = data
	}
	release, err := s.sign(s.release(indexes), key)
	files["dists/"+s.Name+"/InRelease"] = release
	return err
}

func (s *Suite) architectures() []string {
	if len(s.Architectures) == 0 {
		return []string{"amd64", "arm64"}
	}
	return s.Architectures
}

func addIndex(indexes map[string][]byte, name, content string) {
	indexes[name] = []byte(content)
	indexes[name+".xz"] = Compress(XZ, []byte(content))
}

// index returns the package's paragraph in Packages.
func (p Package) index(deb []byte) string {
	return Control(p.Name, p.Version, p.Arch, p.Fields) +
		fmt.Sprintf("Filename: %s\nSize: %d\nSHA256: %s\n", p.Path(), len(deb), hexDigest(deb))
}

// index returns the source's paragraph in Sources.
func (s Source) index() string {
	var md5s, sha256s strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.Files)) {
		data := s.Files[name]
		sum := md5.Sum(data)
		fmt.Fprintf(&md5s, "\n %s %d %s", hex.EncodeToString(sum[:]), len(data), name)
		fmt.Fprintf(&sha256s, "\n %s %d %s", hexDigest(data), len(data), name)
	}
	return paragraph([]string{"Package", "Format", "Version", "Directory"}, map[string]string{
		"Package":          s.Name,
		"Format":           "3.0 (quilt)",
		"Version":          s.Version,
		"Directory":        s.Dir(),
		"Files":            md5s.String(),
		"Checksums-Sha256": sha256s.String(),
	}, s.Fields)
}

func (s *Suite) date() time.Time {
	if s.Date.IsZero() {
		return Date
	}
	return s.Date
}

// release returns the text that is signed.
func (s *Suite) release(indexes map[string][]byte) string {
	until := s.ValidUntil
	if until.IsZero() {
		until = s.date().AddDate(0, 0, 7)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Origin: Debian\nLabel: Debian\nSuite: %s\nCodename: %s\n", s.Name, s.Codename)
	fmt.Fprintf(&b, "Date: %s\n", s.date().UTC().Format(releaseTime))
	if !s.Forever {
		fmt.Fprintf(&b, "Valid-Until: %s\n", until.UTC().Format(releaseTime))
	}
	fmt.Fprintf(&b, "Architectures: all %s\nComponents: main\n", strings.Join(s.architectures(), " "))
	b.WriteString("Description: Archive for tests\nSHA256:\n")
	for _, name := range slices.Sorted(maps.Keys(indexes)) {
		fmt.Fprintf(&b, " %s %8d %s\n", hexDigest(indexes[name]), len(indexes[name]), name)
	}
	return b.String()
}

func (s *Suite) sign(text string, key *openpgp.Entity) ([]byte, error) {
	if s.Unsigned {
		return []byte(text), nil
	}
	signers := s.Signers
	if len(signers) == 0 {
		signers = []*openpgp.Entity{key}
	}
	return ClearSign(text, s.date(), signers...)
}

// ClearSign returns text with an inline signature of that date by each signer.
func ClearSign(text string, date time.Time, signers ...*openpgp.Entity) ([]byte, error) {
	keys := make([]*packet.PrivateKey, len(signers))
	for i, e := range signers {
		keys[i] = e.PrivateKey
	}
	var b bytes.Buffer
	w, err := clearsign.EncodeMulti(&b, keys, &packet.Config{Time: func() time.Time { return date }})
	if err != nil {
		return nil, err
	}
	if _, err := w.Write([]byte(text)); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
