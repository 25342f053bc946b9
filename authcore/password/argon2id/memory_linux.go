package argon2id

import (
	"math"
	"runtime"
	"runtime/debug"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// allocate gives so many blocks for m, and how to give them back. They come from
// the system and not from Go's heap: there, each MiB of them would let the heap
// grow by two before it is collected, and once dropped they would be garbage for
// minutes. A limit for Go's memory (GOMEMLIMIT) is lowered by as much meanwhile, so
// that it holds with them.
func allocate(m *Memory, n int) (blocks []block, free func()) {
	memory, err := unix.Mmap(-1, 0, n*blockBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return onHeap(n) // the system may not let us; Go says so when there is none at all
	}
	advise(memory)
	lowered := lowerLimit(int64(len(memory)))
	unmap := func(memory []byte) {
		_ = unix.Munmap(memory) // it fails for what was never mapped
		lowerLimit(-lowered)
	}
	lost := runtime.AddCleanup(m, unmap, memory)
	free = func() {
		lost.Stop()
		unmap(memory)
	}
	return unsafe.Slice((*block)(unsafe.Pointer(unsafe.SliceData(memory))), n), free
}

var limitMu sync.Mutex

// lowerLimit lowers the limit for Go's memory, where there is one, and tells by how
// much.
func lowerLimit(by int64) (lowered int64) {
	limitMu.Lock()
	defer limitMu.Unlock()
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		return 0
	}
	lowered = min(by, limit)
	debug.SetMemoryLimit(limit - lowered)
	return lowered
}

// hugePage is how large and how aligned a huge page is on all that we know of
// with pages of 4 KiB.
const hugePage = 2 << 20

// advise asks for huge pages: blocks are read in no order, so that with small
// ones most reads also wait for the address to be translated. It is advice: the
// system may have none, or not want to.
func advise(memory []byte) {
	before := -uintptr(unsafe.Pointer(unsafe.SliceData(memory))) % hugePage
	if uintptr(len(memory)) < before+hugePage {
		return
	}
	memory = memory[before:]
	memory = memory[:len(memory)/hugePage*hugePage]
	_ = unix.Madvise(memory, unix.MADV_HUGEPAGE)
}
