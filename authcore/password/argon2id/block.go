package argon2id

import "math/bits"

// A block has 1 KiB (RFC 9106, section 3.1), here as 64-bit words.
const (
	blockBytes = 1024
	blockWords = blockBytes / 8
)

// A block is what Argon2's memory consists of: 1 KiB, here as words that are
// little-endian when they are written as bytes (RFC 9106, section 3.1).
type block [blockWords]uint64

// scratch is where one run of the compression function works. Its contents
// mean nothing to the next one.
type scratch struct {
	kept  block // what the permuted block is added to in the end
	mixed block // the block under the permutation
}

// mixPortable sets out to G(prev, ref), or adds it to out when add is true
// (RFC 9106, section 3.5). The permutation P goes over the eight rows of the
// block, each 16 words in a row, and then over the eight columns, each two
// words wide.
func mixPortable(s *scratch, out, prev, ref *block, add bool) {
	for i := range s.mixed {
		s.mixed[i] = prev[i] ^ ref[i]
	}
	s.kept = s.mixed
	if add { // every pass but the first, since version 0x13
		for i := range out {
			s.kept[i] ^= out[i]
		}
	}
	for row := 0; row < blockWords; row += 16 {
		permute(&s.mixed, row, 2)
	}
	for column := 0; column < 16; column += 2 {
		permute(&s.mixed, column, 16)
	}
	for i := range out {
		out[i] = s.kept[i] ^ s.mixed[i]
	}
}

// permute is P on the 16 words that lie in pairs, the first at start and each
// stride words after the last (RFC 9106, section 3.6).
func permute(b *block, start, stride int) {
	at := func(pair int) *[2]uint64 { return (*[2]uint64)(b[start+pair*stride:]) }
	p0, p1, p2, p3 := at(0), at(1), at(2), at(3)
	p4, p5, p6, p7 := at(4), at(5), at(6), at(7)
	v0, v1, v2, v3 := p0[0], p0[1], p1[0], p1[1]
	v4, v5, v6, v7 := p2[0], p2[1], p3[0], p3[1]
	v8, v9, v10, v11 := p4[0], p4[1], p5[0], p5[1]
	v12, v13, v14, v15 := p6[0], p6[1], p7[0], p7[1]

	v0, v4, v8, v12 = half(v0, v4, v8, v12, -32, -24)
	v1, v5, v9, v13 = half(v1, v5, v9, v13, -32, -24)
	v2, v6, v10, v14 = half(v2, v6, v10, v14, -32, -24)
	v3, v7, v11, v15 = half(v3, v7, v11, v15, -32, -24)
	v0, v4, v8, v12 = half(v0, v4, v8, v12, -16, -63)
	v1, v5, v9, v13 = half(v1, v5, v9, v13, -16, -63)
	v2, v6, v10, v14 = half(v2, v6, v10, v14, -16, -63)
	v3, v7, v11, v15 = half(v3, v7, v11, v15, -16, -63)

	v0, v5, v10, v15 = half(v0, v5, v10, v15, -32, -24)
	v1, v6, v11, v12 = half(v1, v6, v11, v12, -32, -24)
	v2, v7, v8, v13 = half(v2, v7, v8, v13, -32, -24)
	v3, v4, v9, v14 = half(v3, v4, v9, v14, -32, -24)
	v0, v5, v10, v15 = half(v0, v5, v10, v15, -16, -63)
	v1, v6, v11, v12 = half(v1, v6, v11, v12, -16, -63)
	v2, v7, v8, v13 = half(v2, v7, v8, v13, -16, -63)
	v3, v4, v9, v14 = half(v3, v4, v9, v14, -16, -63)

	p0[0], p0[1], p1[0], p1[1] = v0, v1, v2, v3
	p2[0], p2[1], p3[0], p3[1] = v4, v5, v6, v7
	p4[0], p4[1], p5[0], p5[1] = v8, v9, v10, v11
	p6[0], p6[1], p7[0], p7[1] = v12, v13, v14, v15
}

// half is one half of GB, the mixing function of BLAKE2b (RFC 7693, section
// 3.1) with products in its sums (RFC 9106, section 3.6): the halves differ
// only in how far they rotate. It is no more than a half so that the compiler
// puts it in place.
func half(a, b, c, d uint64, turnD, turnB int) (uint64, uint64, uint64, uint64) {
	a = mulAdd(a, b)
	d = bits.RotateLeft64(d^a, turnD)
	c = mulAdd(c, d)
	b = bits.RotateLeft64(b^c, turnB)
	return a, b, c, d
}

// mulAdd is x + y + 2 * trunc(x) * trunc(y) modulo 2^64.
func mulAdd(x, y uint64) uint64 {
	return x + y + 2*uint64(uint32(x))*uint64(uint32(y))
}
