package relocate

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/cpu"
)

// TestMarksOfEachKind: a machine that can do the better one does the other one as well.
func TestMarksOfEachKind(t *testing.T) {
	if !cpu.X86.HasAVX512BW || !cpu.X86.HasAVX512VBMI || !cpu.X86.HasAVX2 {
		t.Skip("there are not both")
	}
	r := rand.New(rand.NewPCG(1, 1))
	for round := range 2000 {
		k := newKinds(some, round%2 == 0)
		b := make([]byte, 8*block+1)
		for i := range b {
			b[i] = byte(r.Uint32())
			if r.IntN(2) == 0 {
				b[i] = []byte("\\/pt\x00\xff a9z0")[r.IntN(11)]
			}
		}
		one, oneCode := sized(8)
		two, twoCode := sized(8)
		plain, _ := sized(8)
		if !k.edges {
			one.edge, two.edge, plain.edge = nil, nil, nil
		}
		markAVX2(&one, 0, &b[0], 8, k)
		markAVX512(&two, 0, &b[0], 8, k)
		k.markPlainly(&plain, 0, 8, b)
		markCodeAVX2(&oneCode, 0, &b[0], 8, k)
		markCodeAVX512(&twoCode, 0, &b[0], 8, k)
		if diff := cmp.Diff(append(one.words(), oneCode.words(8)...), append(two.words(), twoCode.words(8)...)); diff != "" {
			t.Fatalf("%q: %s", b, diff)
		}
		if diff := cmp.Diff(plain.words(), one.words()); diff != "" {
			t.Fatalf("%q: (-plainly +by AVX2) %s", b, diff)
		}
	}
}
