package lock

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"bootstrap/internal/control"
	"bootstrap/internal/fault"
)

// maxSize bounds the size of one file: ten times the largest package a seed is likely to hold.
const maxSize = 1 << 30

// Check reports the first promise that the lock breaks, as a [fault.Error] of kind [fault.Verify].
func (l *Lock) Check() error {
	if err := l.check(); err != nil {
		return fault.New(fault.Verify, fmt.Errorf("lock: %w", err), hintUnsafe)
	}
	return nil
}

func (l *Lock) check() error {
	if err := checkTime(l.Timestamp); err != nil {
		return fmt.Errorf("timestamp: %w", err)
	}
	if len(l.Suites) == 0 || len(l.Entries) == 0 {
		return errors.New("no suites or no entries")
	}
	suites := make(map[string]bool)
	for _, s := range l.Suites {
		if err := s.check(); err != nil {
			return fmt.Errorf("suite %q: %w", s.Name, err)
		}
		if suites[s.Name] {
			return fmt.Errorf("suite %q: there twice", s.Name)
		}
		suites[s.Name] = true
	}
	paths := make(map[string]bool)
	claims := make(map[string]string)
	for _, e := range l.Entries {
		err := e.check()
		switch {
		case err != nil:
		case e.URL == "" && !suites[e.Suite]:
			err = fmt.Errorf("suite %q is not among the lock's", e.Suite)
		case paths[e.Path]:
			err = errors.New("there twice")
		default:
			err = e.claim(claims)
		}
		if err != nil {
			return fmt.Errorf("entry %q: %w", e.Path, err)
		}
		paths[e.Path] = true
	}
	return nil
}

func (s Suite) check() error {
	if !isWord(s.Name) || !isWord(s.Codename) {
		return fmt.Errorf("name or codename %q", s.Codename)
	}
	if err := checkTime(s.Date); err != nil {
		return fmt.Errorf("date: %w", err)
	}
	if err := checkDigest(s.InReleaseSHA256); err != nil {
		return fmt.Errorf("inrelease_sha256: %w", err)
	}
	if b, err := hex.DecodeString(s.SignedBy); err != nil || len(b) < 20 || strings.ToUpper(s.SignedBy) != s.SignedBy {
		return fmt.Errorf("signed_by %q is no fingerprint", s.SignedBy)
	}
	return nil
}

func (e Entry) check() error {
	if !isWord(e.Name) {
		return fmt.Errorf("name %q", e.Name)
	}
	if err := control.CheckVersion(e.Version); err != nil {
		return fmt.Errorf("version %q: %w", e.Version, err)
	}
	if err := e.checkPlace(); err != nil {
		return err
	}
	if e.Size <= 0 || e.Size > maxSize {
		return fmt.Errorf("size %d", e.Size)
	}
	if err := checkDigest(e.SHA256); err != nil {
		return fmt.Errorf("sha256: %w", err)
	}
	known := Roles()
	if err := checkList(e.Roles, func(r Role) bool { return slices.Contains(known, r) }); err != nil {
		return fmt.Errorf("roles: %w", err)
	}
	isProcessor := func(a string) bool { return isWord(a) && a != All && a != Source }
	if err := checkList(e.For, isProcessor); err != nil {
		return fmt.Errorf("for: %w", err)
	}
	if e.Architecture == All || e.Architecture == Source {
		return nil
	}
	if len(e.For) != 1 || e.For[0] != e.Architecture {
		return fmt.Errorf("architecture %q cannot serve %q", e.Architecture, e.For)
	}
	return nil
}

// claim notes what the entry is to whom, and refuses a second version of a package in one role.
// A source package may well have several files.
func (e Entry) claim(claims map[string]string) error {
	if e.Architecture == Source {
		return nil
	}
	for _, arch := range e.For {
		for _, role := range e.Roles {
			key := strings.Join([]string{e.Name, arch, string(role)}, " ")
			if other, taken := claims[key]; taken {
				return fmt.Errorf("%q serves %s in role %s already", other, arch, role)
			}
			claims[key] = e.Path
		}
	}
	return nil
}

// checkPath accepts a clean relative path below "pool/", in the characters Debian's file names have.
func checkPath(p string) error {
	switch {
	case !strings.HasPrefix(p, "pool/"):
		return errors.New("path is not below \"pool/\"")
	case path.Clean(p) != p:
		return errors.New("path is not clean")
	}
	for i := range len(p) {
		if c := p[i]; !isWordByte(c) && c != '/' && c != '%' && c != ':' {
			return fmt.Errorf("path has an illegal character %q", c)
		}
	}
	return nil
}

func checkDigest(s string) error {
	if b, err := hex.DecodeString(s); err != nil || len(b) != 32 || strings.ToLower(s) != s {
		return fmt.Errorf("%q is no SHA-256 in lower-case hexadecimal", s)
	}
	return nil
}

func checkTime(s string) error {
	t, err := time.Parse(TimeLayout, s)
	if err != nil || t.Format(TimeLayout) != s {
		return fmt.Errorf("%q is not of the form %s", s, TimeLayout)
	}
	return nil
}

func checkList[T ~string](list []T, ok func(T) bool) error {
	if len(list) == 0 {
		return errors.New("empty")
	}
	for i, v := range list {
		if !ok(v) {
			return fmt.Errorf("%q is not known", v)
		}
		if slices.Contains(list[:i], v) {
			return fmt.Errorf("%q is there twice", v)
		}
	}
	return nil
}

// isWord accepts names of packages, suites and architectures: a letter or digit first.
func isWord(s string) bool {
	if s == "" || !isAlnum(s[0]) {
		return false
	}
	for i := range len(s) {
		if !isWordByte(s[i]) {
			return false
		}
	}
	return true
}

func isWordByte(c byte) bool { return isAlnum(c) || strings.IndexByte("+-._~", c) >= 0 }

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
