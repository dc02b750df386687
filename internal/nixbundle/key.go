package nixbundle

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// PublicKey is a key in Nix's form: `<name>:<base64>`. That of zombiezen.com/go/nix signs narinfos and nothing else,
// and does not give its bytes away.
type PublicKey struct {
	name string
	key  ed25519.PublicKey
}

// SecretKey is a key as `nix key generate-secret` prints it.
type SecretKey struct {
	name string
	key  ed25519.PrivateKey
	text string
}

// ParsePublicKey reads a public key.
func ParsePublicKey(text string) (*PublicKey, error) {
	name, raw, err := named(text, ed25519.PublicKeySize)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	return &PublicKey{name, raw}, nil
}

// ParseSecretKey reads a secret key. Its errors do not repeat it.
func ParseSecretKey(text string) (*SecretKey, error) {
	name, raw, err := named(text, ed25519.PrivateKeySize)
	if err != nil {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	return &SecretKey{name, raw, strings.TrimSpace(text)}, nil
}

// String returns the key in Nix's form.
func (k *PublicKey) String() string { return k.name + ":" + base64.StdEncoding.EncodeToString(k.key) }

// Public returns the key that others check signatures with.
func (k *SecretKey) Public() *PublicKey {
	return &PublicKey{k.name, k.key.Public().(ed25519.PublicKey)}
}

// named splits `<name>:<base64>`, where the value must have a certain length.
func named(text string, size int) (name string, raw []byte, err error) {
	name, value, ok := strings.Cut(strings.TrimSpace(text), ":")
	if !ok || name == "" || strings.ContainsAny(name, " \t\n") {
		return "", nil, errors.New("is not <name>:<base64>")
	}
	raw, err = base64.StdEncoding.Strict().DecodeString(value)
	if err != nil || len(raw) != size {
		return "", nil, fmt.Errorf("does not have %d bytes in base64 behind its name", size)
	}
	return name, raw, nil
}

// sign returns the line of a signature.
func (k *SecretKey) sign(text []byte) string {
	return k.name + ":" + base64.StdEncoding.EncodeToString(ed25519.Sign(k.key, text))
}

// verify reports whether one of the signatures is by the key.
func (k *PublicKey) verify(text []byte, signatures []string) bool {
	for _, s := range signatures {
		name, raw, err := named(s, ed25519.SignatureSize)
		if err == nil && name == k.name && ed25519.Verify(k.key, text, raw) {
			return true
		}
	}
	return false
}
