package argon2id

import "golang.org/x/sys/cpu"

// haveAVX2 tells whether this processor, and the system on it, can run
// block_amd64.s.
var haveAVX2 = cpu.X86.HasAVX2

// mixBegin does the first part of mixPortable's work: all rows and the first
// two columns. Then out[0] is what it will stay, and with it the address of
// the block that comes next, which mixEnd can then fetch meanwhile.
//
//go:noescape
func mixBegin(s *scratch, out, prev, ref *block, add bool)

// mixEnd does the rest of it, and has the processor fetch next.
//
//go:noescape
func mixEnd(s *scratch, out, next *block)
