package argon2id

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is how large and how aligned a huge page is on all that we know of
// with pages of 4 KiB.
const hugePage = 2 << 20

// advise asks for huge pages: blocks are read in no order, so that with small
// ones most reads also wait for the address to be translated. It is advice: the
// system may have none, or not want to. Only pages that lie wholly within
// blocks are spoken of; they stay the garbage collector's.
func advise(blocks []block) {
	memory := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(blocks))), len(blocks)*blockBytes)
	before := -uintptr(unsafe.Pointer(unsafe.SliceData(memory))) % hugePage
	if uintptr(len(memory)) < before+hugePage {
		return
	}
	memory = memory[before:]
	memory = memory[:len(memory)/hugePage*hugePage]
	_ = unix.Madvise(memory, unix.MADV_HUGEPAGE)
}
