// Package argon2id derives keys from passwords with Argon2id, version 0x13, as
// RFC 9106 has it, without a secret key and associated data.
//
// It is for servers, which do this again and again: the memory of one run is
// that of the next, so that a hash leaves nothing for the garbage collector to
// do; and on amd64 with AVX2 the compression function is in assembly, which
// has the processor fetch the next block while it works on this one. The
// portable code is the definition: the assembly is tested against it, and both
// against golang.org/x/crypto.
package argon2id
