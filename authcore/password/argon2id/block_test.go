package argon2id

import (
	"math/rand/v2"
	"testing"
)

func randomBlock(r *rand.Rand) *block {
	b := new(block)
	for i := range b {
		b[i] = r.Uint64()
	}
	return b
}

// The assembly makes the same of a block as the portable code.
func TestMixAVX2(t *testing.T) {
	t.Parallel()
	needAVX2(t)
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		prev, ref, old := randomBlock(r), randomBlock(r), randomBlock(r)
		for _, add := range []bool{false, true} {
			want, got := *old, *old
			mixPortable(new(scratch), &want, prev, ref, add)
			s := &scratch{*randomBlock(r), *randomBlock(r)}
			mixBegin(s, &got, prev, ref, add)
			if got[0] != want[0] {
				t.Fatal("the first word is not ready after mixBegin")
			}
			mixEnd(s, &got, ref)
			if got != want {
				t.Fatalf("add %v: the blocks differ", add)
			}
		}
	}
}

func BenchmarkMix(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	x, y, z, s := randomBlock(r), randomBlock(r), randomBlock(r), new(scratch)
	b.Run("portable", func(b *testing.B) {
		b.SetBytes(1024)
		for b.Loop() {
			mixPortable(s, z, x, y, false)
			x, z = z, x
		}
	})
	b.Run("avx2", func(b *testing.B) {
		needAVX2(b)
		b.SetBytes(1024)
		for b.Loop() {
			mixBegin(s, z, x, y, false)
			mixEnd(s, z, y)
			x, z = z, x
		}
	})
}

func needAVX2(t testing.TB) {
	t.Helper()
	if !haveAVX2 {
		t.Skip("this processor has no AVX2")
	}
}
