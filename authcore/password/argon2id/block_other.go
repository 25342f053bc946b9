//go:build !amd64

package argon2id

// haveAVX2 is false where there is no assembly, so that nobody calls what
// stands for it here.
const haveAVX2 = false

func mixBegin(*scratch, *block, *block, *block, bool) { panic("argon2id: no assembly here") }

func mixEnd(*scratch, *block, *block) { panic("argon2id: no assembly here") }
