package archive

import (
	"bytes"
	_ "embed" // for debianKeyring
	"fmt"
	"time"

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

// Key is what there is to say of a key.
type Key struct {
	Fingerprint string    // of the primary key, upper-case hexadecimal
	Name        string    // as its holder has it, with an address
	Expires     time.Time // zero if never
}

// Describe returns what there is to say of each key.
func Describe(keys openpgp.EntityList) []Key {
	var list []Key
	for _, e := range keys {
		k := Key{Fingerprint: fmt.Sprintf("%X", e.PrimaryKey.Fingerprint)}
		if id := e.PrimaryIdentity(); id != nil {
			k.Name = id.Name
			if s := id.SelfSignature; s != nil && s.KeyLifetimeSecs != nil && *s.KeyLifetimeSecs != 0 {
				k.Expires = e.PrimaryKey.CreationTime.Add(time.Duration(*s.KeyLifetimeSecs) * time.Second).UTC()
			}
		}
		list = append(list, k)
	}
	return list
}
