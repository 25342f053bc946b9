package storetest

import (
	"fmt"
	"sync/atomic"
	"time"
)

var leaseTests = map[string]func(*world){
	"lease":                   lease,
	"lease of a dead holder":  leaseOfTheDead,
	"race: one lease for all": raceForLease,
}

func (w *world) takes(what, name, holder string, want bool) {
	w.Helper()
	got, err := w.db().TakeLease(w.Context(), name, holder, time.Hour)
	w.must(err)
	w.same(what, want, got)
}

func lease(w *world) {
	w.takes("the first", "cleanup", "a", true)
	w.takes("another", "cleanup", "b", false)
	w.takes("once more", "cleanup", "a", true)
	w.takes("another lease", "delivery", "b", true)
	w.must(w.db().DropLease(w.Context(), "cleanup", "b")) // it is not b's
	w.takes("another, still", "cleanup", "b", false)
	w.must(w.db().DropLease(w.Context(), "cleanup", "a"))
	w.takes("another, now", "cleanup", "b", true)
	w.takes("the first, now", "cleanup", "a", false)
	w.must(w.db().DropLease(w.Context(), "of nobody", "a"))
}

// A holder that is not heard of again loses the lease by itself.
func leaseOfTheDead(w *world) {
	ok, err := w.db().TakeLease(w.Context(), "cleanup", "dead", time.Millisecond)
	w.must(err)
	w.same("taken", true, ok)
	for ok = false; !ok; {
		ok, err = w.db().TakeLease(w.Context(), "cleanup", "heir", time.Hour)
		w.must(err)
	}
	w.takes("the dead, come back", "cleanup", "dead", false)
}

func raceForLease(w *world) {
	for round := range 5 {
		var won atomic.Int32
		for _, err := range w.atOnce(20, func(i int, db Store) error {
			ok, err := db.TakeLease(w.Context(), fmt.Sprint("work", round), fmt.Sprint("node", i), time.Hour)
			if ok {
				won.Add(1)
			}
			return err
		}) {
			w.must(err)
		}
		w.same("holders", int32(1), won.Load())
	}
}
