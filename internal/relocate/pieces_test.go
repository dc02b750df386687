package relocate_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"bootstrap/internal/relocate"
)

// compiler makes what compilers make of texts: code, and constants of sixteen bytes that a linker has merged.
type compiler struct {
	r      *rand.Rand
	code   string
	consts []string
	loads  []use
}

// use is where code has the distance to a constant.
type use struct {
	at int
	of string
}

func (c *compiler) junk(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = []byte{0x48, 0x89, 0xc7, 0x24, 0x0f, 0x1f, 0x66, 0xe8, 0x41, 0x30, 0x61, 0xff, 0x00}[c.r.IntN(13)]
	}
	return string(b)
}

// operand stores n bytes of a text.
func (c *compiler) operand(text string) {
	c.code += c.junk(c.r.IntN(5))
	switch len(text) {
	case 8:
		c.code += "\x48" + string([]byte{0xb8 + byte(c.r.IntN(8))}) + text + "\x48\x89\x44\x24" + string([]byte{byte(c.r.IntN(100))})
	case 4:
		c.code += "\xc7\x44\x24\x10" + text
	case 2:
		c.code += "\x66\xc7\x44\x24\x10" + text
	case 1:
		c.code += "\xc6\x44\x24\x10" + text
	}
}

// constant copies sixteen bytes of a text to their distance from a register.
func (c *compiler) constant(text string, at int) {
	reg := byte(c.r.IntN(8))
	c.code += c.junk(c.r.IntN(3)) + "\x66\x0f\x6f" + string([]byte{5 | reg<<3})
	c.loads = append(c.loads, use{len(c.code), text})
	c.code += "....\x0f\x11" + string([]byte{0x40 | reg<<3, byte(at)})
	if !slices.Contains(c.consts, text) {
		c.consts = append(c.consts, text)
	}
}

// rest stores what is left of a text, in pieces that get smaller, or in one that overlaps what is stored already.
func (c *compiler) rest(text string, done int, overlap bool) {
	for done < len(text) {
		left := len(text) - done
		switch {
		case left >= 8:
			c.operand(text[done : done+8])
			done += 8
		case overlap && len(text) >= 8:
			c.operand(text[len(text)-8:])
			return
		default:
			n := 1
			for n*2 <= left {
				n *= 2
			}
			c.operand(text[done : done+n])
			done += n
		}
	}
}

// compile compiles a few texts about some paths. For paths of the same lengths it does the same.
func compile(seed uint64, paths []string, store string) string {
	c := &compiler{r: rand.New(rand.NewPCG(seed, 3))}
	for range 1 + c.r.IntN(4) {
		text := paths[c.r.IntN(len(paths))] + []string{"", "\x00", "/bin/sh\x00", "/lib", "-more\x00", "/x\x00"}[c.r.IntN(6)]
		overlap := c.r.IntN(2) == 0
		switch c.r.IntN(9) {
		case 0, 1:
			c.rest(text, 0, overlap)
		case 2, 3:
			done := 0
			for ; done+16 <= len(text); done += 16 {
				c.constant(text[done:done+16], done)
			}
			if overlap && len(text)-done > 8 {
				c.constant(text[len(text)-16:], len(text)-16)
			} else {
				c.rest(text, done, overlap)
			}
		case 4:
			c.code += "\x00" + text + "\x00"
		case 5:
			c.rest(store, 0, overlap)
		case 6:
			c.rest("-I"+text, 0, overlap)
		case 7:
			c.rest(text[:40+c.r.IntN(6)], 0, overlap)
		case 8:
			c.rest("x="+store+"/y\x00", 0, overlap)
		}
		c.code += c.junk(c.r.IntN([]int{10, 400}[c.r.IntN(2)]))
	}
	c.r.Shuffle(len(c.consts), func(i, j int) { c.consts[i], c.consts[j] = c.consts[j], c.consts[i] })
	data, places := "", map[string]int{}
	for _, k := range c.consts {
		places[k] = len(data)
		data += k
		if c.r.IntN(2) == 0 {
			data += "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
		}
	}
	code := c.code + c.junk(16)
	code = code[:len(code)&^15]
	whole := code + data
	if c.r.IntN(2) == 0 {
		whole = data + code
		for k := range places {
			places[k] -= len(data)
		}
	} else {
		for k := range places {
			places[k] += len(code)
		}
	}
	first := strings.Index(whole, code) // the code has its constants before or behind it
	b := []byte(whole)
	for _, l := range c.loads {
		binary.LittleEndian.PutUint32(b[first+l.at:], uint32(places[l.of]-(l.at+4)))
	}
	if c.r.IntN(4) == 0 {
		return sections(0, string(b), ".text")
	}
	return loaded(string(b))
}

// pieces relocates what was compiled, and says whether it is what would have been compiled, or was refused.
func pieces(t testing.TB, m *relocate.Map, seed uint64) (right, refused bool) {
	from := compile(seed, []string{fromStore + "/" + fromA, fromStore + "/" + fromB}, fromStore)
	to := compile(seed, []string{toStore + "/" + toA, toStore + "/" + toB}, toStore)
	got, _, err := run(t, relocate.Options{Map: m}, tree{"f": from})
	return err == nil && got["f"] == to, err != nil
}

// TestPieces: many programs, each right or refused.
func TestPieces(t *testing.T) {
	m := mapping(t)
	right, refusals, n := 0, 0, 4000
	for seed := range uint64(n) {
		switch ok, refused := pieces(t, m, seed); {
		case ok:
			right++
		case refused:
			refusals++
		default:
			t.Errorf("seed %d: silently corrupted", seed)
		}
	}
	t.Logf("measured: of %d programs %d are right, %d refused", n, right, refusals)
	if right < n/4 {
		t.Errorf("only %d of %d are right", right, n)
	}
}

// FuzzPieces looks for a program that is silently corrupted.
func FuzzPieces(f *testing.F) {
	f.Add(uint64(1))
	m := mapping(f)
	f.Fuzz(func(t *testing.T, seed uint64) {
		if ok, refused := pieces(t, m, seed); !ok && !refused {
			t.Errorf("seed %d: silently corrupted", seed)
		}
	})
}
