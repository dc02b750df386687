package relocate

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"io"
)

// wayBack takes what a file of machine code became back to what it was. For texts it is enough to count what is in the
// result; pieces of paths in code are found by what they look like, and what looks like one may have been there before.
type wayBack struct {
	source hash.Hash
	result hash.Hash // of what the way back gives
	c      *content
}

func (e *engine) wayBack(file string) *wayBack {
	b := &wayBack{source: sha256.New(), result: sha256.New()}
	if e.back == nil {
		e.back = &content{m: e.o.Map.Inverse(), tally: newTally(e.o.Map), note: func(Finding) {}}
	}
	b.c = e.back
	b.c.out, b.c.keep = b.result, e.o.KeepBare
	b.c.reset(file)
	b.c.code = newCode(&b.c.m.chunks)
	return b
}

// judge refuses a file that is another one after there and back.
func (b *wayBack) judge(e *engine, file string) error {
	if err := b.c.Close(); err != nil {
		return err
	}
	if !bytes.Equal(b.source.Sum(nil), b.result.Sum(nil)) {
		e.note(Finding{Refused, Invariant, file, -1, "there and back gives another file"})
	}
	return nil
}

// both writes to the result and to the way back.
func (b *wayBack) both(w io.Writer) io.Writer { return io.MultiWriter(w, b.c) }
