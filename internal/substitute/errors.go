package substitute

import (
	"errors"
	"fmt"

	"bootstrap/internal/drv"
	"bootstrap/internal/relocate"
)

// Errors of [Substituter.Offer] for what is not offered, and never will be.
var (
	ErrUnknown = errors.New("no derivation in the store makes it")
	ErrFixed   = errors.New("it is fixed by its hash: Nix itself takes it from the other cache")
)

// ProofError says why something that another cache has is not taken from there.
type ProofError struct{ Reason string }

func (e *ProofError) Error() string { return e.Reason }

func proof(format string, args ...any) error { return &ProofError{fmt.Sprintf(format, args...)} }

// final reports whether asking again would have the same result.
func final(err error) bool {
	var p *ProofError
	var r *relocate.RefusedError
	var d *drv.RefusedError
	return errors.As(err, &p) || errors.As(err, &r) || errors.As(err, &d)
}
