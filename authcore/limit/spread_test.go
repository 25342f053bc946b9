package limit

import (
	"strconv"
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	s := NewSpread(3, time.Minute, func() time.Time { return now })
	try := func(what, source, thing string, want bool) {
		t.Helper()
		if got := s.Try(source, thing); got != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	try("first", "a", "1", false)
	try("the same again", "a", "1", false)
	try("second", "a", "2", false)
	try("another source", "b", "3", false)
	try("third", "a", "3", true)
	try("said already", "a", "4", false)
	try("said already", "a", "5", false)
	try("as many again", "a", "6", true)
	try("early", "b", "4", false)
	now = now.Add(time.Minute)
	try("after a while", "b", "5", false)
	if (*Spread)(nil).Try("a", "1") {
		t.Error("a nil Spread notices")
	}
}

// A flood of sources takes no more memory, and drowns nobody who has tried much.
func TestSpreadIsBounded(t *testing.T) {
	t.Parallel()
	s := NewSpread(20, time.Minute, func() time.Time { return time.Unix(1e9, 0) })
	for i := range 19 {
		s.Try("guesser", strconv.Itoa(i))
	}
	for i := range 5 * maxSources {
		s.Try("flood"+strconv.Itoa(i), "x")
	}
	if len(s.sources) > maxSources {
		t.Errorf("%d sources are kept", len(s.sources))
	}
	if !s.Try("guesser", "19") {
		t.Error("the guesser was forgotten")
	}
}
