package main

import (
	"bytes"
	"fmt"
	"os"

	"bootstrap/internal/fault"

	"github.com/ProtonMail/go-crypto/openpgp"
)

// keys are OpenPGP keys; nil stands for Debian's.
type keys = openpgp.EntityList

// readKeys reads a file of keys, armored or not.
func readKeys(path string) (keys, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.New(fault.Usage, err, "give the path of a file with OpenPGP public keys")
	}
	read := openpgp.ReadKeyRing
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN")) {
		read = openpgp.ReadArmoredKeyRing
	}
	list, err := read(bytes.NewReader(data))
	if err != nil || len(list) == 0 {
		return nil, fault.New(fault.Usage, fmt.Errorf("--keyring %q: no OpenPGP keys in it", path),
			"export them with `gpg --export KEY`")
	}
	return list, nil
}
