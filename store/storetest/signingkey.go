package storetest

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var keyTests = map[string]func(*world){
	"signing keys": signingKeys,
	"race: one signing key of each generation": raceForSigningKey,
}

func (w *world) key(generation int64) authcore.SigningKey {
	return authcore.SigningKey{Generation: generation, Algorithm: authcore.ES256, ID: fmt.Sprint("key", generation), Sealed: strings.Repeat("x", 300),
		CreatedAt: w.now, SignsAt: w.now.AddDate(0, 1, 0)}
}

func signingKeys(w *world) {
	add := func(k authcore.SigningKey, keep int64, want bool) {
		w.Helper()
		added, err := w.db().AddSigningKey(w.Context(), k, keep, w.event(authcore.KeyCreate, k.ID))
		w.must(err)
		w.same("added", want, added)
	}
	has := func(want ...authcore.SigningKey) {
		w.Helper()
		got, err := w.db().SigningKeys(w.Context())
		w.must(err)
		w.same("keys", want, got)
	}
	has()
	first, second, third := w.key(1), w.key(2), w.key(3)
	add(second, 0, true)
	add(first, 0, true)
	has(first, second)
	late := w.key(2)
	late.ID = "of another node"
	add(late, 2, false)
	has(first, second)
	add(third, 2, true)
	has(second, third)
	other := w.key(4)
	other.Algorithm = authcore.RS256
	add(other, 4, true)
	has(second, third, other)
	add(w.key(10), 10, true)
	has(other, w.key(10))
	w.happened("key.create key1", "key.create key2", "key.create key3", "key.create key4", "key.create key10")
}

func raceForSigningKey(w *world) {
	var won atomic.Int32
	for _, err := range w.atOnce(20, func(i int, db Store) error {
		k := w.key(1)
		k.ID = fmt.Sprint("of node ", i)
		added, err := db.AddSigningKey(w.Context(), k, 0, w.event(authcore.KeyCreate, ""))
		if added {
			won.Add(1)
		}
		return err
	}) {
		w.must(err)
	}
	w.same("keys that were added", int32(1), won.Load())
}
