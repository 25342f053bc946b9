package argon2id

// lane computes the blocks of one lane, a segment at a time.
type lane struct {
	scratch
	memory *Memory
	number int

	// Of the segment at hand:
	start, area int // the blocks that it may refer to, without its own
	independent bool
	counter     block // what the addresses are made of, the seventh word counts
	addresses   block // 128 of them
}

func newLane(m *Memory, number int) *lane {
	return &lane{memory: m, number: number}
}

// fill computes the lane's segment of the slice at hand.
func (l *lane) fill() {
	m := l.memory
	l.begin()
	first := 0
	if m.pass == 0 && m.slice == 0 {
		first = 2 // these are made from the password
	}
	at := l.number*m.laneLength + m.slice*m.segment + first
	prev := &m.blocks[at-1+l.wrap(at)]
	ref := l.reference(first, l.random(first, prev))
	for index := first; index < m.segment; index++ {
		if l.independent && (index+1)%blockWords == 0 {
			l.nextAddresses() // now, as scratch is in use until mixEnd
		}
		out := &m.blocks[at]
		l.mixBegin(out, prev, ref, m.pass > 0)
		if index+1 < m.segment {
			ref = l.reference(index+1, l.random(index+1, out))
		}
		l.mixEnd(out, ref)
		prev = out
		at++
	}
}

// wrap is what to add to get from before the lane's first block to its last.
func (l *lane) wrap(at int) int {
	if at == l.number*l.memory.laneLength {
		return l.memory.laneLength
	}
	return 0
}

// begin says where the segment's references may point, and whether they depend
// on the password (RFC 9106, section 3.4).
func (l *lane) begin() {
	m := l.memory
	l.start, l.area = 0, m.slice*m.segment
	if m.pass > 0 {
		l.start, l.area = (m.slice+1)*m.segment, (quarters-1)*m.segment
	}
	l.independent = m.pass == 0 && m.slice < quarters/2
	if l.independent {
		const id = 2 // the y of Argon2id
		l.counter = block{uint64(m.pass), uint64(l.number), uint64(m.slice),
			uint64(len(m.blocks)), uint64(m.cost.Passes), id}
		l.nextAddresses()
	}
}

// random returns J1 in the lower and J2 in the upper half of a word, for the
// block at index after prev (RFC 9106, section 3.4.1). Of prev it reads the
// first word.
func (l *lane) random(index int, prev *block) uint64 {
	if !l.independent {
		return prev[0]
	}
	return l.addresses[index%blockWords]
}

// nextAddresses computes the next 128 addresses that do not depend on the
// password (RFC 9106, section 3.4.1.2).
func (l *lane) nextAddresses() {
	var zero block
	l.counter[6]++
	for _, from := range []*block{&l.counter, &l.addresses} {
		l.mixBegin(&l.addresses, &zero, from, false)
		l.mixEnd(&l.addresses, from)
	}
}

// reference returns the block that random points to, for the block at index
// (RFC 9106, section 3.4.2).
func (l *lane) reference(index int, random uint64) *block {
	m := l.memory
	lane, area := l.number, l.area
	if m.cost.Lanes > 1 && (m.pass > 0 || m.slice > 0) {
		lane = int(uint32(random>>32) % uint32(m.cost.Lanes))
	}
	if lane == l.number {
		area += index - 1 // all of this segment but the block before
	} else if index == 0 {
		area-- // the block before, if it is in that lane's last segment
	}
	x := uint64(uint32(random)) * uint64(uint32(random)) >> 32
	y := uint64(area) * x >> 32
	at := l.start + area - 1 - int(y)
	if at >= m.laneLength {
		at -= m.laneLength
	}
	return &m.blocks[lane*m.laneLength+at]
}

// mixBegin and mixEnd together set out to G(prev, ref), or add it to out. After
// the first, out[0] is what it will be; the second has the processor fetch next
// at the same time. The portable code does all of it at once. Ref may be out
// when nothing is added.
func (l *lane) mixBegin(out, prev, ref *block, add bool) {
	if haveAVX2 && !l.memory.portable {
		mixBegin(&l.scratch, out, prev, ref, add)
		return
	}
	mixPortable(&l.scratch, out, prev, ref, add)
}

func (l *lane) mixEnd(out, next *block) {
	if haveAVX2 && !l.memory.portable {
		mixEnd(&l.scratch, out, next)
	}
}
