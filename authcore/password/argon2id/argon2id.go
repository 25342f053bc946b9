package argon2id

import (
	"fmt"
	"hash"
)

// Cost is what one run costs (RFC 9106, section 3.1).
type Cost struct {
	// Memory in KiB; at least 8 for each lane.
	Memory uint32
	// Passes over the memory; at least 1.
	Passes uint32
	// Lanes that can be computed in parallel; at least 1.
	Lanes uint8
}

// Memory is where runs take place, one at a time; each makes it as large as it
// needs, and the next one uses it again. The zero Memory is ready for use. It
// must not be copied.
//
// A run reads no block that it did not write before, so what an earlier one
// left has no influence on it. It does stay there, and somebody who can read
// our memory could test guesses with less work than a hash is meant to cost.
// Overwriting it after each run would take up to an eighth of the time, and who
// reads our memory at that moment also reads passwords, so call Free when no
// run is to be expected. What a run keeps elsewhere it overwrites itself, above
// all the hash of the password that everything else follows from; but not what
// BLAKE2b may have left on the stack.
//
// All lanes are computed on the goroutine that calls Derive, one after the other.
type Memory struct {
	portable bool // do without assembly, for tests
	blocks   []block
	free     func() // gives the blocks back
	lanes    []*lane
	initial  initial
	digest   hash.Hash

	// The run at hand, in the words of RFC 9106, section 3.4.
	cost        Cost
	laneLength  int // q
	segment     int // the length of a segment
	pass, slice int
}

// quarters is how many segments a lane has (RFC 9106, section 3.4: SL, slices).
const quarters = 4

// Size returns how many KiB the memory holds.
func (m *Memory) Size() int { return cap(m.blocks) }

// Derive fills key from password and salt: its length is part of what is
// hashed. Key, password and salt may be of any length that fits in 32 bits,
// though RFC 9106 wants keys of 4 bytes or more, and salts of 8. It panics when
// cost is less than the least.
func (m *Memory) Derive(key, password, salt []byte, cost Cost) {
	m.derive(key, input{password: password, salt: salt}, cost)
}

// Free gives the memory back, and nothing of what runs have left can be read any
// more. The next run takes a new one.
func (m *Memory) Free() {
	if m.free != nil {
		m.free()
	}
	m.blocks, m.free = nil, nil
	m.wipeWork()
}

// derive is section 3.2 of RFC 9106.
func (m *Memory) derive(key []byte, in input, cost Cost) {
	if cost.Passes < 1 || cost.Lanes < 1 || cost.Memory < 8*uint32(cost.Lanes) {
		panic(fmt.Sprintf("argon2id: cost %+v is less than the least", cost))
	}
	m.prepare(cost)
	m.initial.set(m.hash(), len(key), in, cost)
	for number := range int(cost.Lanes) {
		for index := range 2 {
			m.initial.block(&m.blocks[number*m.laneLength+index], index, number)
		}
	}
	for m.pass = 0; m.pass < int(cost.Passes); m.pass++ {
		for m.slice = 0; m.slice < quarters; m.slice++ {
			m.fillSlice()
		}
	}
	m.finish(key)
	m.wipeWork()
}

// prepare makes room for a run.
func (m *Memory) prepare(cost Cost) {
	m.cost = cost
	m.segment = int(cost.Memory) / (quarters * int(cost.Lanes))
	m.laneLength = quarters * m.segment
	blocks := int(cost.Lanes) * m.laneLength
	if cap(m.blocks) < blocks {
		m.Free() // before there is a new one
		m.blocks, m.free = allocate(m, blocks)
	}
	m.blocks = m.blocks[:blocks]
	for len(m.lanes) < int(cost.Lanes) {
		m.lanes = append(m.lanes, newLane(m, len(m.lanes)))
	}
}

// fillSlice fills one segment of each lane (RFC 9106, section 3.4).
func (m *Memory) fillSlice() {
	for _, l := range m.lanes[:m.cost.Lanes] {
		l.fill()
	}
}

// onHeap gives blocks of Go's heap.
func onHeap(n int) (blocks []block, free func()) {
	blocks = make([]block, n)
	return blocks, func() { clear(blocks) }
}

// finish makes the key of the last blocks of all lanes.
func (m *Memory) finish(key []byte) {
	last := &m.lanes[0].kept
	clear(last[:])
	for number := range int(m.cost.Lanes) {
		for i, word := range m.blocks[(number+1)*m.laneLength-1] {
			last[i] ^= word
		}
	}
	m.initial.key(key, last)
}

// wipeWork overwrites what a run has left outside of the blocks.
func (m *Memory) wipeWork() {
	m.initial = initial{}
	for _, l := range m.lanes {
		l.scratch = scratch{}
	}
}
