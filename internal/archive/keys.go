package archive

import (
	"bytes"
	_ "embed" // for debianKeyring
	"fmt"

	"github.com/ProtonMail/go-crypto/openpgp"
)

//go:embed keyring/debian-archive-keyring.pgp
var debianKeyring []byte

// DebianKeys returns the keys that sign Debian's own archive, of which keyring/README.md says more.
func DebianKeys() (openpgp.EntityList, error) {
	keys, err := openpgp.ReadKeyRing(bytes.NewReader(debianKeyring))
	if err != nil {
		return nil, fmt.Errorf("embedded keyring: %w", err)
	}
	return keys, nil
}
