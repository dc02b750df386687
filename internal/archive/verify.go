package archive

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// maxSignatures bounds the work a hostile index can ask for; Debian's have two or three.
const maxSignatures = 16

// verify checks a clear-signed file and returns the text that was signed, which is all of it
// that may be read, and the fingerprint of the primary key of the first good signature.
//
// One good signature by a known key is enough, as for gpgv(1): around a release, old and new keys
// sign side by side, and not everyone knows both.
func verify(data []byte, keys openpgp.EntityList, now time.Time) (text []byte, signer string, err error) {
	// Decode skips what stands before the message. We take no file that has something there.
	if !bytes.HasPrefix(data, []byte("-----BEGIN PGP SIGNED MESSAGE-----")) {
		return nil, "", errors.New("not a clear-signed file")
	}
	block, rest := clearsign.Decode(data)
	if block == nil {
		return nil, "", errors.New("malformed clear-signed file")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, "", errors.New("text after the signature")
	}
	signatures, err := readSignatures(block.ArmoredSignature.Body)
	if err != nil {
		return nil, "", err
	}
	var causes []string
	for _, s := range signatures {
		entity, err := s.verify(block.Bytes, keys, now)
		if err == nil {
			return block.Plaintext, fmt.Sprintf("%X", entity.PrimaryKey.Fingerprint), nil
		}
		causes = append(causes, fmt.Sprintf("key %016X: %v", *s.parsed.IssuerKeyId, err))
	}
	return nil, "", errors.New(strings.Join(causes, "; "))
}

// signature is one signature packet, by its bytes and parsed.
type signature struct {
	raw    []byte
	parsed *packet.Signature
}

// readSignatures takes the packets apart: openpgp itself stops at the first signature
// whose key it knows, good or bad. Signatures of unknown kinds are passed over.
func readSignatures(r io.Reader) ([]signature, error) {
	var signatures []signature
	packets := packet.NewOpaqueReader(r)
	for {
		op, err := packets.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("malformed: %w", err)
		}
		if len(signatures) == maxSignatures {
			return nil, fmt.Errorf("more than %d signatures", maxSignatures)
		}
		var raw bytes.Buffer
		if err := op.Serialize(&raw); err != nil {
			return nil, fmt.Errorf("malformed: %w", err)
		}
		p, err := op.Parse()
		if s, ok := p.(*packet.Signature); err == nil && ok && s.IssuerKeyId != nil {
			signatures = append(signatures, signature{raw: raw.Bytes(), parsed: s})
		}
	}
	if len(signatures) == 0 {
		return nil, errors.New("no signature of a kind that is understood")
	}
	return signatures, nil
}

// verify checks one signature.
//
// A key that has expired by now still counts for what it signed while it was valid,
// as it does for gpgv: how old an index may be is for Valid-Until to say.
// A revoked key counts for nothing.
func (s signature) verify(signed []byte, keys openpgp.EntityList, now time.Time) (*openpgp.Entity, error) {
	switch s.parsed.Hash {
	case crypto.SHA256, crypto.SHA384, crypto.SHA512:
	default:
		return nil, fmt.Errorf("weak digest %v", s.parsed.Hash)
	}
	if s.parsed.SigType != packet.SigTypeText && s.parsed.SigType != packet.SigTypeBinary {
		return nil, fmt.Errorf("signature of type %#x", s.parsed.SigType)
	}
	at := func(t time.Time) (*openpgp.Entity, error) {
		config := &packet.Config{Time: func() time.Time { return t }}
		_, entity, err := openpgp.VerifyDetachedSignature(keys, bytes.NewReader(signed), bytes.NewReader(s.raw), config)
		return entity, err
	}
	made := s.parsed.CreationTime
	if made.After(now) {
		now = made // the signed Date says whether that is too far ahead
	}
	entity, err := at(now)
	if errors.Is(err, pgperrors.ErrKeyExpired) {
		entity, err = at(made)
	}
	if errors.Is(err, pgperrors.ErrUnknownIssuer) {
		return nil, errors.New("not known")
	}
	return entity, err
}
