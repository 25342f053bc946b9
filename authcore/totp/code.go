package totp

import (
	"crypto/hmac"
	"crypto/sha1" // what RFC 6238 has by default; HMAC does not need its collision resistance
	"crypto/subtle"
	"encoding/binary"
	"hash"
	"time"
	"unicode"
)

const (
	// period is how many seconds a step lasts (RFC 6238, section 4.1).
	period = 30
	// digits is the length of a code.
	digits = 6
	// window is how many steps before and after the present one are accepted: one
	// for a slow typist and one for a clock that is off (RFC 6238, sections 5.2
	// and 6).
	window = 1
)

// code is a one-time password: ASCII digits.
type code [digits]byte

// Step returns the number of the step that a time is in: how many times 30
// seconds have passed since 1970 (RFC 6238, section 4.2).
func (s Secret) Step(at time.Time) int64 { return at.Unix() / period }

// Code returns the six digits of a step, as an app shows them.
func (s Secret) Code(step int64) string {
	c := codeOf(hmac.New(sha1.New, s[:]), step)
	return string(c[:])
}

// Match tells whether a typed code is that of the step at the given time, the
// one before or the one after, and which. Steps up to after are refused: pass
// the last step that was ever used, or 0, and store the one returned. Spaces in
// the code do not matter; anything else but six ASCII digits is refused. Which
// digits of a code are right, and for which step, cannot be told from the time
// that Match takes.
//
// Should the same code be that of two steps, the later one is returned, so that
// it is of no use a second time.
func (s Secret) Match(typed string, at time.Time, after int64) (step int64, ok bool) {
	got, ok := parseCode(typed)
	if !ok || s == (Secret{}) {
		return 0, false
	}
	first := s.Step(at) - window
	mac := hmac.New(sha1.New, s[:])
	found, offset := 0, 0
	for i := range 2*window + 1 {
		want := codeOf(mac, first+int64(i))
		same := subtle.ConstantTimeCompare(want[:], got[:])
		if first+int64(i) <= after { // no secret: nothing of the code decides it
			same = 0
		}
		offset = subtle.ConstantTimeSelect(same, i, offset)
		found |= same
	}
	if found == 0 {
		return 0, false
	}
	return first + int64(offset), true
}

// codeOf is HOTP (RFC 4226, section 5.3).
func codeOf(mac hash.Hash, step int64) (c code) {
	var buf [sha1.Size]byte
	binary.BigEndian.PutUint64(buf[:8], uint64(step))
	mac.Reset()
	mac.Write(buf[:8])
	sum := mac.Sum(buf[:0])
	offset := sum[len(sum)-1] & 0xf
	number := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	for i := digits - 1; i >= 0; i-- {
		c[i] = byte('0' + number%10)
		number /= 10
	}
	return c
}

// parseCode reads a code as people type it: apps show it as 123 456.
func parseCode(typed string) (c code, ok bool) {
	n := 0
	for _, r := range typed {
		if unicode.IsSpace(r) {
			continue
		}
		if r < '0' || r > '9' || n == digits {
			return code{}, false
		}
		c[n] = byte(r)
		n++
	}
	return c, n == digits
}
