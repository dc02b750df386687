package substitute

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"bootstrap/internal/fault"

	"zombiezen.com/go/nix"
)

// LoadKey returns the key in a file that only its owner may read, and makes one where there is none. The name of
// a new key has the store directory in it in the form of a digest, so that keys of two prefixes are told apart.
func LoadKey(file, store string) (*nix.PrivateKey, error) {
	key, err := readKey(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	sum := sha256.Sum256([]byte(store))
	_, key, err = nix.GenerateKey("relocated-"+hex.EncodeToString(sum[:4]), rand.Reader)
	if err != nil {
		return nil, err
	}
	if err := writeKey(file, key); err != nil {
		return nil, fmt.Errorf("key %q: %w", file, err)
	}
	return readKey(file) // somebody else's, who was faster
}

func readKey(file string) (*nix.PrivateKey, error) {
	info, err := os.Lstat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fault.New(fault.Unfit, fmt.Errorf("key %q: others may read it", file),
			"who has it can sign for this prefix: remove it, and a new one is made")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	key, err := nix.ParsePrivateKey(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fault.New(fault.Unfit, fmt.Errorf("key %q: is no secret key of Nix", file), "remove it, and a new one is made")
	}
	return key, nil
}

// writeKey makes the file appear with all that is in it, unless there is one.
func writeKey(file string, key *nix.PrivateKey) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(file), ".key-") // with mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(tmp.Name())) }()
	_, err = tmp.WriteString(key.String() + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
