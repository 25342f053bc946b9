package argon2id

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// A limit for Go's memory holds with that of hashes: it is lower while they have
// it, whether that is given back or lost.
func TestMemoryLimit(t *testing.T) { // by itself: the limit is the process's
	const limit = 1 << 40
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(limit))
	derive := func() *Memory {
		m := new(Memory)
		m.Derive(make([]byte, 32), nil, nil, Cost{1024, 1, 1})
		return m
	}
	m := derive()
	if got := debug.SetMemoryLimit(-1); got != limit-1<<20 {
		t.Errorf("with 1 MiB for hashes the limit is %d, want 1 MiB less than %d", got, limit)
	}
	m.Free()
	if got := debug.SetMemoryLimit(-1); got != limit {
		t.Errorf("after it was freed the limit is %d, want %d", got, limit)
	}
	derive()
	for end := time.Now().Add(time.Minute); debug.SetMemoryLimit(-1) != limit; runtime.Gosched() {
		if runtime.GC(); time.Now().After(end) {
			t.Fatal("what nobody has any more is not given back")
		}
	}
	debug.SetMemoryLimit(math.MaxInt64)
	derive().Free()
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
		t.Errorf("where there was no limit it is %d", got)
	}
}
