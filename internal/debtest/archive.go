package debtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
)

// Date is the date of a suite that is given none, and of its signature.
var Date = time.Date(2026, time.September, 12, 7, 55, 41, 0, time.UTC)

// Archive is a Debian archive: an [http.Handler] for dists/ and pool/.
// Fill its suites, then serve it; after a later change to a suite, call Publish.
// Tamper, Fail and Requests may be called at any time.
type Archive struct {
	// Key signs suites that name no signers of their own.
	Key *openpgp.Entity

	t      testing.TB
	suites []*Suite

	mu       sync.Mutex
	files    map[string][]byte // nil until published
	tampered map[string][]byte
	failed   map[string]int
	requests []string
}

// Suite is one directory below dists/. It has the one component main.
type Suite struct {
	Name     string // directory below dists/, and the field Suite
	Codename string
	// Date is that of the release and of its signature. Zero means the variable Date.
	Date time.Time
	// ValidUntil ends the release's validity. Zero means a week after Date.
	ValidUntil time.Time
	// Forever leaves Valid-Until out, as stable releases of Debian do.
	Forever bool
	// Architectures have an index each. Empty means amd64 and arm64.
	Architectures []string
	// Signers sign InRelease. Empty means the archive's key.
	Signers []*openpgp.Entity
	// Unsigned leaves InRelease without a signature.
	Unsigned bool

	Packages []Package
	Sources  []Source
}

// Package is a binary package of a suite.
type Package struct {
	Name, Version string
	Arch          string            // amd64, arm64 or all; empty means amd64
	Fields        map[string]string // control fields: Depends, Provides, Source, Multi-Arch, ...
	Entries       []Entry           // its files
	Deb           []byte            // the file itself; nil means one built of the above
}

// Source is a source package of a suite.
type Source struct {
	Name, Version string
	Files         map[string][]byte // by file name
	Fields        map[string]string
}

// NewArchive returns an archive without suites, with a signing key of its own.
func NewArchive(t testing.TB) *Archive {
	t.Helper()
	return &Archive{
		Key: NewKey(t, "Test Archive"), t: t,
		tampered: map[string][]byte{}, failed: map[string]int{},
	}
}

// Suite returns the suite of that name, a new one if there is none.
func (a *Archive) Suite(name string) *Suite {
	for _, s := range a.suites {
		if s.Name == name {
			return s
		}
	}
	s := &Suite{Name: name, Codename: name}
	a.suites = append(a.suites, s)
	return s
}

// Add adds binary packages to the suite.
func (s *Suite) Add(packages ...Package) { s.Packages = append(s.Packages, packages...) }

// AddSource adds source packages to the suite.
func (s *Suite) AddSource(sources ...Source) { s.Sources = append(s.Sources, sources...) }

// Keyring returns what verifies the archive's own signatures.
func (a *Archive) Keyring() openpgp.EntityList { return openpgp.EntityList{a.Key} }

// Publish writes indexes and signatures anew and drops what is no longer in a suite.
func (a *Archive) Publish() {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.publish(); err != nil {
		a.t.Fatalf("debtest: publish: %v", err)
	}
}

func (a *Archive) publish() error {
	files := map[string][]byte{}
	for _, s := range a.suites {
		if err := s.write(files, a.Key); err != nil {
			return err
		}
	}
	a.files = files
	return nil
}

// Serve publishes the archive, serves it until the test ends, and returns the base URL,
// below which are dists/ and pool/.
func (a *Archive) Serve() string {
	a.t.Helper()
	a.Publish()
	srv := httptest.NewServer(a)
	a.t.Cleanup(srv.Close)
	return srv.URL
}

// Tamper serves data at path, such as dists/sid/InRelease, whatever is there.
// Nothing else, such as a digest, changes. Nil data ends it.
func (a *Archive) Tamper(path string, data []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if data == nil {
		delete(a.tampered, path)
		return
	}
	a.tampered[path] = data
}

// Fail answers requests for path with an HTTP status and no content. Status 0 ends it.
func (a *Archive) Fail(path string, status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if status == 0 {
		delete(a.failed, path)
		return
	}
	a.failed[path] = status
}

// File returns what is published at path, untampered, or ends the test.
func (a *Archive) File(path string) []byte {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.files == nil {
		if err := a.publish(); err != nil {
			a.t.Fatalf("debtest: publish: %v", err)
		}
	}
	data, ok := a.files[path]
	if !ok {
		a.t.Fatalf("debtest: the archive has no file %q", path)
	}
	return data
}

// SHA256 returns the digest of what is published at path in hexadecimal.
func (a *Archive) SHA256(path string) string {
	a.t.Helper()
	return hexDigest(a.File(path))
}

// Requests returns the paths asked for so far, without a leading slash.
func (a *Archive) Requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

// ServeHTTP serves a file of the archive, ranges of it included.
func (a *Archive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	data, status := a.lookup(path)
	if status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	// A type, so that nothing is guessed; a time of zero, so that nothing is cached.
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

func (a *Archive) lookup(path string) ([]byte, int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = append(a.requests, path)
	if status, ok := a.failed[path]; ok {
		return nil, status
	}
	if data, ok := a.tampered[path]; ok {
		return data, http.StatusOK
	}
	if a.files == nil {
		if err := a.publish(); err != nil {
			a.t.Errorf("debtest: publish: %v", err)
			return nil, http.StatusInternalServerError
		}
	}
	if data, ok := a.files[path]; ok {
		return data, http.StatusOK
	}
	return nil, http.StatusNotFound
}

func hexDigest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
