package bincache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"bootstrap/internal/fault"

	"zombiezen.com/go/nix"
)

// Key is the public half of a key that signs store paths.
type Key = nix.PublicKey

const keyForm = "give it as `bootstrap cache key new` printed it, <name>:<base64>, or the file with it"

// ParseKey reads a public key, or the file that has one.
func ParseKey(text string) (*Key, error) {
	key, err := nix.ParsePublicKey(strings.TrimSpace(text))
	if err == nil {
		return key, nil
	}
	data, ferr := os.ReadFile(text)
	if ferr != nil {
		if _, serr := nix.ParsePrivateKey(strings.TrimSpace(text)); serr == nil {
			return nil, fault.New(fault.Usage, errors.New("--key: this is a secret key, which must not be given away"), "give the public half of it, and make a new key: others may have seen this one")
		}
		return nil, fault.New(fault.Usage, fmt.Errorf("--key %q: is no public key, and no file", text), keyForm)
	}
	if key, err = nix.ParsePublicKey(strings.TrimSpace(string(data))); err != nil {
		return nil, fault.New(fault.Usage, fmt.Errorf("--key %q: there is no public key in it", text), keyForm)
	}
	return key, nil
}

// ReadSecret reads a file with a secret key, and returns the public half of it.
func ReadSecret(file string) (*Key, error) {
	const hint = "give the file that `bootstrap cache key new` made"
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.New(fault.Usage, fmt.Errorf("secret key: %w", err), hint)
	}
	secret, err := nix.ParsePrivateKey(strings.TrimSpace(string(data)))
	if err != nil {
		// The error may say what is in the file.
		return nil, fault.New(fault.Usage, fmt.Errorf("secret key %q: there is none in it", file), hint)
	}
	return secret.PublicKey(), nil
}

// keyName is what a key may be called: it stands before a colon, and in a list of words.
var keyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// NewKey makes a key, writes the secret half of it to a file for its owner alone, and the public
// half to that file's name with ".pub" behind it. A file that is there is never touched.
func NewKey(name, file string) (*Key, error) {
	if !keyName.MatchString(name) {
		return nil, fault.New(fault.Usage, fmt.Errorf("key name %q: has other characters than letters, digits, \".\", \"-\" and \"_\"", name),
			"name it after the cache and a number, such as cache.example.org-1")
	}
	for _, f := range []string{file, file + ".pub"} {
		if _, err := os.Lstat(f); err == nil {
			return nil, fault.New(fault.Usage, fmt.Errorf("key %q: is there already", f), "keys are never overwritten: give another file with -o")
		}
	}
	public, secret, err := nix.GenerateKey(name, nil)
	if err != nil {
		return nil, err
	}
	// The public half first: whoever is left with it alone has lost nothing.
	if err := create(file+".pub", public.String()+"\n", 0o644); err != nil {
		return nil, err
	}
	if err := create(file, secret.String()+"\n", 0o600); err != nil {
		return nil, errors.Join(err, os.Remove(file+".pub"))
	}
	return public, nil
}

// create makes a file that is there as a whole, or not at all, and fails if there is one.
func create(file, text string, mode os.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".bootstrap-key-")
	if err != nil {
		return fault.New(fault.Usage, err, "give a file in a directory that you may write to")
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), file); err != nil { // which never replaces one
		return fault.New(fault.General, fmt.Errorf("key %q: %w", file, err), "give another file with -o")
	}
	return nil
}
