package relocate

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// machine looks at the machines that code is for.
type machine struct {
	noted bool
	arm   bool
	regs  [32]uint64
	other uint16
	// origins is where ELF headers are, of members too: constants are aligned as seen from there.
	origins []int64
	// segments are those of a file that is no archive.
	segments []segment
}

// maxOrigins is more than there can be in what is looked at together, there and on the way back.
const maxOrigins = 4 * bufSize / 64

const (
	machineX86 = 62
	machineARM = 183
)

// look reads the ELF headers that begin in [from, to), one or those of an archive, and follows what builds constants on ARM.
func (k *machine) look(c *content, from, to int, archive bool) {
	last := to
	if !archive { // then there is one, at the beginning
		last = min(to, from+int(max(0, 1-c.base)))
	}
	for at := from; at < last; at++ {
		i := bytes.Index(c.buf[at:min(len(c.buf), last+3)], []byte("\x7fELF"))
		if i < 0 {
			break
		}
		at += i
		if len(c.buf) < at+20 || c.base+int64(at) != 0 && !hasSuffix(c.buf[:at], "`\n") {
			continue // not a file, and not a member of an archive
		}
		m := binary.LittleEndian.Uint16(c.buf[at+18:])
		if c.buf[at+5] == 2 { // most significant byte first
			m = binary.BigEndian.Uint16(c.buf[at+18:])
		}
		if !archive {
			k.segments = segments(c.buf[at:])
		}
		k.origins = append(k.origins[max(0, len(k.origins)-maxOrigins):], c.base+int64(at))
		switch {
		case m == machineARM:
			k.arm = true
		case (m != machineX86 || c.buf[at+4] != 2) && !k.noted:
			k.noted, k.other = true, m
		}
	}
	if !k.arm {
		return
	}
	for at := from + int(-(c.base+int64(from))&1); at < to && at+4 <= len(c.buf); at += 2 {
		k.step(c, at)
	}
}

// origin returns the beginning of the ELF file that a place is in.
func (k *machine) origin(at int64) int64 {
	origin, _ := k.around(at)
	return origin
}

// around returns the beginning of the ELF file that a place is in, and of the next one.
func (k *machine) around(at int64) (origin, next int64) {
	next = 1 << 62
	for i := len(k.origins) - 1; i >= 0; i-- {
		if k.origins[i] <= at {
			return k.origins[i], next
		}
		next = k.origins[i]
	}
	return 0, next
}

// step follows MOVZ and MOVK, which put sixteen bits each into a register.
func (k *machine) step(c *content, at int) {
	w := binary.LittleEndian.Uint32(c.buf[at:])
	reg, half, imm := w&31, w>>21&3, uint64(w>>5&0xffff)
	switch w & 0xff800000 {
	case 0xd2800000:
		k.regs[reg] = imm << (16 * half)
		return
	case 0xf2800000:
		k.regs[reg] = k.regs[reg]&^(0xffff<<(16*half)) | imm<<(16*half)
	default:
		return
	}
	_, strong := c.m.chunks.strong[k.regs[reg]]
	if strong || len(c.m.chunks.weak[k.regs[reg]]) > 0 {
		c.hits++
		c.note(Finding{Refused, Split, c.file, c.base + int64(at), "MOVZ and MOVK of ARM"})
	}
}

// finish refuses code for other machines.
func (k *machine) finish(c *content) {
	if k.noted {
		c.note(Finding{Refused, Machine, c.file, -1, fmt.Sprintf("ELF machine %d", k.other)})
	}
}
