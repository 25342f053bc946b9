package argon2id

import (
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/blake2b"
)

// version is Argon2 version 1.3 (RFC 9106, section 3.1).
const version = 0x13

// input is what a key is made from. We have no use for a secret and associated
// data, but the test vector of RFC 9106, section 5.3, has them.
type input struct {
	password, salt, secret, data []byte
}

// initial is H_0, the hash that all blocks follow from, and the place where the
// first and the last things are hashed.
type initial struct {
	// expand's own number, then H_0, index and lane, or the last block.
	buf    [4 + 1024]byte
	output [1024]byte
}

// hash returns the BLAKE2b-512 of all runs, as good as new.
func (m *Memory) hash() hash.Hash {
	if m.digest == nil {
		m.digest, _ = blake2b.New512(nil) // only a key can be wrong
	}
	m.digest.Reset()
	return m.digest
}

// set computes H_0 (RFC 9106, section 3.2, step 1).
func (h *initial) set(digest hash.Hash, keyLength int, in input, cost Cost) {
	const id = 2 // the y of Argon2id
	number := func(n uint32) {
		binary.LittleEndian.PutUint32(h.buf[:], n)
		_, _ = digest.Write(h.buf[:4]) // a hash fails at nothing
	}
	for _, n := range [...]uint32{uint32(cost.Lanes), uint32(keyLength), cost.Memory, cost.Passes, version, id} {
		number(n)
	}
	for _, text := range [...][]byte{in.password, in.salt, in.secret, in.data} {
		number(uint32(len(text)))
		_, _ = digest.Write(text)
	}
	digest.Sum(h.buf[4:4])
	// Reset keeps the bytes that were written last, those of the password
	// among them: have others take their place.
	digest.Reset()
	_, _ = digest.Write(h.output[:blake2b.BlockSize])
}

// block computes one of the first two blocks of a lane (RFC 9106, section 3.2,
// steps 3 and 4).
func (h *initial) block(to *block, index, lane int) {
	const end = 4 + blake2b.Size
	binary.LittleEndian.PutUint32(h.buf[end:], uint32(index))
	binary.LittleEndian.PutUint32(h.buf[end+4:], uint32(lane))
	expand(h.output[:], h.buf[:end+8])
	for i := range to {
		to[i] = binary.LittleEndian.Uint64(h.output[8*i:])
	}
}

// key computes the key from what the last blocks add up to (RFC 9106, section
// 3.2, step 8).
func (h *initial) key(key []byte, last *block) {
	for i, word := range last {
		binary.LittleEndian.PutUint64(h.buf[4+8*i:], word)
	}
	expand(key, h.buf[:])
}

// expand is H' (RFC 9106, section 3.3): a hash of any length. Its input begins
// at in[4]; the bytes before are for the length.
func expand(out, in []byte) {
	binary.LittleEndian.PutUint32(in, uint32(len(out)))
	if len(out) <= blake2b.Size {
		sum(out, in)
		return
	}
	v := blake2b.Sum512(in)
	for len(out) > blake2b.Size {
		out = out[copy(out, v[:blake2b.Size/2]):]
		if len(out) > blake2b.Size {
			v = blake2b.Sum512(v[:])
		}
	}
	sum(out, v[:])
}

// sum is BLAKE2b of any length up to 64 bytes.
func sum(out, in []byte) {
	switch len(out) {
	case blake2b.Size:
		v := blake2b.Sum512(in)
		copy(out, v[:])
	case blake2b.Size256: // what we ask for: it leaves no garbage
		v := blake2b.Sum256(in)
		copy(out, v[:])
	default:
		digest, err := blake2b.New(len(out), nil)
		if err != nil {
			panic("argon2id: a key needs a length") // 0, nothing else is left
		}
		_, _ = digest.Write(in)
		digest.Sum(out[:0])
	}
}
