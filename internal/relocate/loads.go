package relocate

import "encoding/binary"

// Compilers copy a text with constants of sixteen bytes as pairs of instructions: one loads a constant, whose place is
// told as a distance from the instruction, into a vector register, and one stores it at a distance from a register.
// So code says which constants are one text, and in which order. It is read by what such instructions look like, not from
// where it begins: what is no instruction fits nothing else.

// load is an instruction with an operand of sixteen bytes elsewhere in the file. One that is stored several times is
// there as often.
type load struct {
	at   int64 // of what follows it
	from int64 // of the operand
	put  place // where it is stored, if it is copied
}

// place is a distance from a register.
type place struct {
	ok   bool
	base uint8 // the register's number
	disp int64
}

// nextInstruction is a number beside those of the sixteen registers there are.
const nextInstruction = 16

const (
	// maxLoads bounds the memory of one file.
	maxLoads = 1 << 15
	// storeReach is how far from a load its store is looked for.
	storeReach = 192
)

// segment is a part of an ELF file, and where it is in memory.
type segment struct{ off, addr, size uint64 }

// segments reads the program headers of an ELF file for x86-64 that has a place in memory. They are in head, or not found.
func segments(head []byte) (list []segment) {
	const typeExec, typeDyn, load, size = 2, 3, 1, 56
	le := binary.LittleEndian
	if len(head) < 64 || head[4] != 2 || head[5] != 1 || le.Uint16(head[18:]) != machineX86 || le.Uint16(head[54:]) != size {
		return nil
	}
	if t := le.Uint16(head[16:]); t != typeExec && t != typeDyn {
		return nil
	}
	at, n := le.Uint64(head[32:]), uint64(le.Uint16(head[56:]))
	if at > uint64(len(head)) || n*size > uint64(len(head))-at {
		return nil
	}
	for p := head[at : at+n*size]; len(p) > 0; p = p[size:] {
		if le.Uint32(p) == load {
			list = append(list, segment{le.Uint64(p[8:]), le.Uint64(p[16:]), le.Uint64(p[32:])})
		}
	}
	return list
}

// address is where in memory a place of the file is.
func (k *machine) address(off int64) (uint64, bool) {
	for _, s := range k.segments {
		if d := uint64(off) - s.off; d < s.size {
			return s.addr + d, true
		}
	}
	return 0, false
}

// offset is the other way.
func (k *machine) offset(addr uint64) (int64, bool) {
	for _, s := range k.segments {
		if d := addr - s.addr; d < s.size {
			return int64(s.off + d), true
		}
	}
	return 0, false
}

// opcode says whether the byte at i is an opcode of the map 0F, with which of the upper halves of registers:
// volume 2 of Intel's manual, 2.2.1 and 2.3.5.
func opcode(b []byte, i int) (reg, base uint8, ok bool) {
	switch {
	case i >= 1 && b[i-1] == 0x0f:
		if i >= 2 && (b[i-2] == 0x41 || b[i-2]&^1 == 0x44) { // REX with B or R; any other one is the end of something else
			return b[i-2] & 4 << 1, b[i-2] & 1 << 3, true
		}
		return 0, 0, true
	case i >= 2 && b[i-2] == 0xc5: // VEX of two bytes
		return ^b[i-1] & 0x80 >> 4, 0, b[i-1]&4 == 0
	case i >= 3 && b[i-3] == 0xc4 && b[i-2]&0x1f == 1: // of three
		return ^b[i-2] & 0x80 >> 4, ^b[i-2] & 0x20 >> 2, b[i-2]&0x40 != 0 && b[i-1]&4 == 0
	}
	return 0, 0, false
}

// loaded follows the instructions in [from, to) that may load a constant.
func (k *code) loaded(c *content, from, to int) {
	if k.tooMany {
		return
	}
	for _, i := range between(c.places.loads, from, min(to, len(c.buf)-6)) {
		if scalar(c.buf, i) {
			continue
		}
		next := c.base + int64(i+6)
		addr, ok := k.machine.address(next)
		if !ok {
			continue
		}
		addr += uint64(int64(int32(load32(c.buf[i+2:]))))
		operand, ok := k.machine.offset(addr)
		if !ok || addr&15 != 0 {
			continue
		}
		n := len(k.loads)
		if high, _, ok := opcode(c.buf, i); ok && moves(c.buf[i]) {
			k.stored(c, i+6, c.buf[i+1]>>3&7|high, func(p place) { k.loads = append(k.loads, load{next, operand, p}) })
		}
		if len(k.loads) == n {
			k.loads = append(k.loads, load{at: next, from: operand})
		}
		if len(k.loads) > maxLoads {
			k.tooMany, k.loads = true, nil
			return
		}
	}
}

// scalar says whether an instruction takes less than sixteen bytes: MOVSS and MOVSD, by their prefix.
func scalar(b []byte, i int) bool {
	return b[i] == 0x10 && i >= 2 && b[i-1] == 0x0f && (b[i-2] == 0xf2 || b[i-2] == 0xf3)
}

// moves says whether an opcode is MOVUPS, MOVAPS, MOVDQA, MOVDQU, or one of their kin, into a register.
func moves(op byte) bool { return op == 0x10 || op == 0x28 || op == 0x6f }

// vectorUse says what opcodes of the map 0F do with a vector register: store it, or put something else into it.
var vectorUse = [256]uint8{
	0x11: stores, 0x29: stores, 0x7f: stores,
	0x10: fills, 0x28: fills, 0x6f: fills, 0x57: fills, 0xef: fills, // XORPS and PXOR are the last two
}

const stores, fills = 1, 2

// stored calls f with every place where a register is stored, before something else is put into it.
func (k *code) stored(c *content, at int, reg uint8, f func(place)) {
	b := c.buf
	for i := at; i < at+storeReach && i+8 <= len(b); i++ {
		op := vectorUse[b[i]]
		if op == 0 {
			continue
		}
		high, base, ok := opcode(b, i)
		if !ok || b[i+1]>>3&7|high != reg {
			continue
		}
		if op != stores {
			return
		}
		f(k.operandAt(c, i+1, base))
	}
}

// operandAt reads the operand in memory of an instruction, whose byte ModRM is at i with six more behind it.
func (k *code) operandAt(c *content, i int, high uint8) place {
	b := c.buf
	mod, base := b[i]>>6, b[i]&7
	i++
	switch {
	case mod == 3:
		return place{}
	case mod == 0 && base == 5:
		addr, ok := k.machine.address(c.base + int64(i+4))
		return place{ok, nextInstruction, int64(addr) + int64(int32(load32(b[i:])))}
	case base == 4:
		if b[i]>>3&7 != 4 || mod == 0 && b[i]&7 == 5 { // with an index, or without a base
			return place{}
		}
		base = b[i] & 7
		i++
	}
	switch p := (place{true, base | high, 0}); mod {
	case 1:
		p.disp = int64(int8(b[i]))
		return p
	case 2:
		p.disp = int64(int32(load32(b[i:])))
		return p
	default:
		return p
	}
}
