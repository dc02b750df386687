package relocate

import (
	"os"
	"testing"
	"crypto/sha256"
)

func BenchmarkMicro(b *testing.B) {
	data, _ := os.ReadFile("/usr/lib/gcc/x86_64-linux-gnu/14/cc1")
	if data == nil { data, _ = os.ReadFile(os.Args[0]) }
	data = data[len(data)/2:][:112<<10]
	m := small(b)
	var p places
	run := func(name string, f func()) { b.Run(name, func(b *testing.B) { b.SetBytes(int64(len(data))); for range b.N { f() } }) }
	run("sha", func() { sha256.Sum256(data) })
	run("mark", func() { p.mark(m.kinds, data) })
	run("texts", func() { p.texts(m.kinds, data) })
	run("markcode", func() { p.code = m.kinds.markCode(p.code[:0], data) })
	run("pieces", func() { p.pieces(m.kinds, data) })
	buf := make([]byte, len(data))
	run("copy", func() { copy(buf, data) })
}
