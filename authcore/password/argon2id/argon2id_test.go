package argon2id

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/crypto/argon2"
)

// ways are the ways to compute the same.
func ways(t testing.TB) map[string]*Memory {
	t.Helper()
	all := map[string]*Memory{"portable": {portable: true}}
	if haveAVX2 {
		all["AVX2"] = new(Memory)
	}
	return all
}

// TestVector is the one of RFC 9106, section 5.3.
func TestVector(t *testing.T) {
	t.Parallel()
	in := input{
		password: bytes.Repeat([]byte{1}, 32),
		salt:     bytes.Repeat([]byte{2}, 16),
		secret:   bytes.Repeat([]byte{3}, 8),
		data:     bytes.Repeat([]byte{4}, 12),
	}
	const want = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
	for name, m := range ways(t) {
		key := make([]byte, 32)
		m.derive(key, in, Cost{Memory: 32, Passes: 3, Lanes: 4})
		if got := hex.EncodeToString(key); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// Many costs one after another in the same memories: what one leaves is there
// when the next begins.
func TestAgainstXCrypto(t *testing.T) {
	t.Parallel()
	all := ways(t)
	r := rand.New(rand.NewPCG(1, 2))
	for _, lanes := range []uint8{1, 2, 3, 4, 7, 100} {
		for _, passes := range []uint32{1, 2, 3} {
			least := 8 * uint32(lanes)
			for _, memory := range []uint32{least, least + 1, least + 4*uint32(lanes), 2100, 600 + r.Uint32N(1000)} {
				cost := Cost{max(memory, least), passes, lanes}
				compare(t, all, randomBytes(r, 40), randomBytes(r, 20), cost, 4+r.IntN(200))
			}
		}
	}
}

func FuzzAgainstXCrypto(f *testing.F) {
	f.Add([]byte("a violet umbrella"), []byte("somesalt"), uint32(0), uint32(1), uint8(1), uint8(32))
	f.Add([]byte{}, []byte{}, uint32(1000), uint32(3), uint8(4), uint8(64))
	f.Add(bytes.Repeat([]byte("x"), 300), bytes.Repeat([]byte("y"), 129), uint32(77), uint32(2), uint8(3), uint8(65))
	all := ways(f)
	f.Fuzz(func(t *testing.T, password, salt []byte, memory, passes uint32, lanes, length uint8) {
		cost := Cost{Passes: 1 + passes%4, Lanes: 1 + lanes%16}
		cost.Memory = 8*uint32(cost.Lanes) + memory%2048
		compare(t, all, password, salt, cost, max(1, int(length)))
	})
}

// compare derives a key in all ways and expects that of x/crypto.
func compare(t *testing.T, all map[string]*Memory, password, salt []byte, cost Cost, length int) {
	t.Helper()
	want := argon2.IDKey(password, salt, cost.Passes, cost.Memory, cost.Lanes, uint32(length))
	for name, m := range all {
		got := make([]byte, length)
		m.Derive(got, password, salt, cost)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %+v, password %x, salt %x: got %x, want %x", name, cost, password, salt, got, want)
		}
	}
}

func TestLeavesNoGarbage(t *testing.T) {
	password, salt, key := []byte("a violet umbrella"), []byte("somesalt"), make([]byte, 32)
	for name, m := range ways(t) {
		for _, lanes := range []uint8{1, 4} {
			allocated := testing.AllocsPerRun(10, func() { m.Derive(key, password, salt, Cost{64, 2, lanes}) })
			if allocated > 0 {
				t.Errorf("%s, %d lanes: %v allocations", name, lanes, allocated)
			}
		}
	}
}

// TestFree looks for words that runs left.
func TestFree(t *testing.T) {
	t.Parallel()
	m := new(Memory)
	m.Derive(make([]byte, 32), []byte("a violet umbrella"), []byte("somesalt"), Cost{1024, 1, 2})
	m.Derive(make([]byte, 32), []byte("a violet umbrella"), []byte("somesalt"), Cost{64, 1, 1})
	if m.Size() != 1024 {
		t.Fatalf("%d KiB, want 1024", m.Size())
	}
	if m.initial != (initial{}) || m.lanes[0].scratch != (scratch{}) || m.lanes[1].scratch != (scratch{}) {
		t.Error("a run leaves more than blocks")
	}
	m.Free()
	m.Free() // nothing is given back twice
	if m.Size() != 0 {
		t.Errorf("%d KiB are left", m.Size())
	}
	m.Derive(make([]byte, 32), []byte("a violet umbrella"), []byte("somesalt"), Cost{64, 1, 1})
	if m.Size() != 64 {
		t.Errorf("the next run has %d KiB", m.Size())
	}
	blocks, free := onHeap(2)
	blocks[1][5] = 7
	if free(); blocks[1] != (block{}) {
		t.Error("what goes back to Go's heap is not overwritten")
	}
}

func TestRefusesCost(t *testing.T) {
	t.Parallel()
	for _, cost := range []Cost{{}, {8, 0, 1}, {8, 1, 0}, {7, 1, 1}, {31, 1, 4}} {
		t.Run(fmt.Sprint(cost), func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("accepted")
				}
			}()
			new(Memory).Derive(make([]byte, 32), nil, nil, cost)
		})
	}
}

func randomBytes(r *rand.Rand, most int) []byte {
	b := make([]byte, r.IntN(most))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}
