package relocate_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"bootstrap/internal/relocate"
)

// many is a map of n paths.
func many(t testing.TB, n int) *relocate.Map {
	t.Helper()
	o := options()
	r := rand.New(rand.NewPCG(1, 2))
	hash := func() string {
		b := make([]byte, 32)
		for i := range b {
			b[i] = "0123456789abcdfghijklmnpqrsvwxyz"[r.IntN(32)]
		}
		return string(b)
	}
	for len(o.Paths) < n {
		o.Paths[hash()+"-package"] = hash() + "-package"
	}
	m, err := relocate.NewMap(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// prose is n bytes of text with a path after so many words.
func prose(n, words int) string {
	var b strings.Builder
	r := rand.New(rand.NewPCG(1, 1))
	for b.Len() < n {
		for range words {
			b.WriteString([]string{"the ", "if (x) return ", "include/sys/types.h ", "PATH=/usr/bin:/bin\n", "0x7ffe ", "license\n"}[r.IntN(6)])
		}
		b.WriteString(fromStore + "/" + fromA + "/bin\n")
	}
	return b.String()[:n]
}

// machineCode is n bytes like those of a program: code, tables, and few texts.
func machineCode(n int) string {
	b := []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x3e\x00")
	b = append(b, make([]byte, 44)...)
	r := rand.New(rand.NewPCG(1, 1))
	for len(b) < n {
		for range 500 {
			b = append(b, 0x48, 0x8b, byte(r.Uint32()), 0x24, byte(r.Uint32()), 0, 0, 0, 0xe8, byte(r.Uint32()), byte(r.Uint32()), 0xff, 0xff)
		}
		b = append(b, "\x00_ZNSt6vectorIiSaIiEE9push_backEOi\x00"+fromStore+"/"+fromA+"/lib\x00"...)
	}
	return string(b[:n])
}

// BenchmarkRelocate is held against the two digests alone, which cannot be had for less.
func BenchmarkRelocate(b *testing.B) {
	const size = 32 << 20
	for name, content := range map[string]string{"dense": prose(size, 40), "text": prose(size, 400), "code": machineCode(size)} {
		data := pack(b, tree{"f": content})
		b.Run(name+"/digests alone", func(b *testing.B) {
			defer perCPU(b, len(data))()
			for range b.N {
				one, two := sha256.New(), sha256.New()
				if _, err := io.Copy(struct{ io.Writer }{io.MultiWriter(one, two)}, struct{ io.Reader }{bytes.NewReader(data)}); err != nil {
					b.Fatal(err)
				}
			}
		})
		for _, n := range []int{10, 400, 5000} {
			m := many(b, n)
			b.Run(fmt.Sprintf("%s/%d paths", name, n), func(b *testing.B) {
				defer perCPU(b, len(data))()
				for range b.N {
					if _, err := relocate.Relocate(io.Discard, stream{bytes.NewReader(data), 1 << 20}, relocate.Options{Map: m}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// perCPU reports the rate per second of processor time too: the machine may have other things to do.
func perCPU(b *testing.B, size int) func() {
	used := func() float64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	}
	b.SetBytes(int64(size))
	before := used()
	return func() { b.ReportMetric(float64(size)*float64(b.N)/(used()-before)/1e6, "MB/cpu-s") }
}

// endless gives a NAR of one large file, and looks at the memory in use meanwhile.
type endless struct {
	head, tail *bytes.Reader
	line       string
	at         int // in line
	left       int64
	most       uint64
	reads      int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.reads++; e.reads%100 == 0 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		e.most = max(e.most, s.HeapAlloc)
	}
	if n, err := e.head.Read(p); err == nil {
		return n, nil
	}
	if e.left == 0 {
		return e.tail.Read(p)
	}
	n := 0
	for n < len(p) && e.left > 0 {
		k := copy(p[n:], e.line[e.at:min(int64(len(e.line)), int64(e.at)+e.left)])
		n += k
		e.at = (e.at + k) % len(e.line)
		e.left -= int64(k)
	}
	return n, nil
}

// TestMemory: a file of 64 MiB takes no more than one of any other size.
func TestMemory(t *testing.T) {
	const most = 16 << 20
	line := "\x00\x01" + strings.Repeat(" some text,", 300) + " and " + fromStore + "/" + fromA + "/lib/x.so\x00\xff\n"
	for name, head := range map[string]string{"text": "text", "code": "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x3e\x00"} {
		const size = 64 << 20
		first := head + strings.Repeat("\x00", 64-len(head))
		empty := string(pack(t, tree{"f": strings.Repeat("?", 8)}))
		before, after, _ := strings.Cut(empty, "????????")
		before = strings.TrimSuffix(before, "\x08\x00\x00\x00\x00\x00\x00\x00") + string([]byte{0, 0, 0, 4, 0, 0, 0, 0})
		e := &endless{head: bytes.NewReader([]byte(before + first)), tail: bytes.NewReader([]byte(after)), line: line, left: size - 64}
		m := many(t, 400)
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		report, err := relocate.Relocate(io.Discard, e, relocate.Options{Map: m})
		if err != nil {
			t.Fatal(err)
		}
		if report.Source.Size < size || report.Counts[relocate.Rewritten] < 1000 {
			t.Errorf("%s: %d bytes, %v", name, report.Source.Size, report.Counts)
		}
		t.Logf("measured: %s of %d MiB: %.1f MiB of memory", name, size>>20, float64(e.most-min(e.most, s.HeapAlloc))/(1<<20))
		if e.most > s.HeapAlloc+most {
			t.Errorf("%s: %d bytes of memory", name, e.most-s.HeapAlloc)
		}
	}
}
