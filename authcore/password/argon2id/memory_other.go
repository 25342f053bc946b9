//go:build !linux

package argon2id

// allocate gives so many blocks for m, and how to give them back.
func allocate(_ *Memory, n int) (blocks []block, free func()) { return onHeap(n) }
