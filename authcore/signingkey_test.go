package authcore

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// keyTable is a table of signing keys.
type keyTable struct {
	mu   sync.Mutex
	keys []SigningKey
	away error
}

func (s *keyTable) SigningKeys(context.Context) ([]SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.keys), s.away
}

func (s *keyTable) AddSigningKey(_ context.Context, k SigningKey, keep int64, _ Event) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.keys, func(o SigningKey) bool { return o.Generation == k.Generation }) {
		return false, s.away
	}
	s.keys = slices.DeleteFunc(append(s.keys, k), func(o SigningKey) bool { return o.Algorithm == k.Algorithm && o.Generation < keep })
	return true, s.away
}

// racedTable is one in which somebody else is faster, before the first key of RS256.
type racedTable struct {
	*keyTable
	before func()
}

func (s *racedTable) AddSigningKey(ctx context.Context, k SigningKey, keep int64, ev Event) (bool, error) {
	if k.Algorithm == RS256 {
		s.before()
	}
	return s.keyTable.AddSigningKey(ctx, k, keep, ev)
}

// verifies checks a signature as an app does, with a set of public keys as it came
// over the wire.
func verifies(t *testing.T, set []byte, text string) error {
	t.Helper()
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(set, &keys); err != nil {
		t.Fatal(err)
	}
	for _, k := range keys.Keys {
		if !k.IsPublic() || !k.Valid() {
			t.Fatalf("a key of the set is not a public one: %s", set)
		}
	}
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	return token.Claims(&keys, new(map[string]any))
}

// Over four months, with two nodes that read the keys now and then, whatever a node
// signs is good by the public keys that any node has given out in the last hours.
func TestSigningKeysOverlap(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := start
	table, secret := new(keyTable), NewSecretKey()
	nodes := []*Keys{NewKeys(table, secret, func() time.Time { return now }), NewKeys(table, secret, func() time.Time { return now })}
	type given struct {
		at  time.Time
		set []byte
	}
	var sets []given
	signed := make(map[string]bool)
	for ; now.Before(start.AddDate(0, 4, 0)); now = now.Add(3 * time.Hour) {
		if now.Equal(start.AddDate(0, 2, 0)) {
			if _, err := nodes[0].Rotate(t.Context(), CommandLine(), false); err != nil {
				t.Fatal(err)
			}
		}
		for i, k := range nodes {
			if err := k.Want(t.Context()); err != nil {
				t.Fatal(err)
			}
			set, err := json.Marshal(k.Public(now))
			if err != nil {
				t.Fatal(err)
			}
			sets = append(sets, given{now, set})
			s, err := nodes[1-i].Signer(now)
			if err != nil {
				if now.Equal(start) {
					continue
				}
				t.Fatal(err)
			}
			text, err := s.Sign(map[string]any{"sub": "alice"})
			if err != nil {
				t.Fatal(err)
			}
			signed[s.ID] = true
			for _, g := range sets {
				if err := verifies(t, g.set, text); err != nil && now.Sub(g.at) > 0 && now.Sub(g.at) < 12*time.Hour && !soon(table, now) {
					t.Fatalf("%s: by the keys of %s: %v", now, g.at, err)
				}
			}
		}
		sets = slices.DeleteFunc(sets, func(g given) bool { return now.Sub(g.at) > 12*time.Hour })
	}
	if len(signed) != 5 {
		t.Errorf("%d keys have signed in four months and a rotation, want 5", len(signed))
	}
	if len(table.keys) > 3 {
		t.Errorf("%d keys are kept", len(table.keys))
	}
}

// soon tells whether the key that signs was asked for, so that it was published
// only minutes before.
func soon(table *keyTable, now time.Time) bool {
	key := table.keys[signing(table.keys, now)]
	return key.SignsAt.Sub(key.CreatedAt) < keyOverlap && key.Generation > 1 && now.Sub(key.SignsAt) < 13*time.Hour
}

// A key that somebody else has is dropped at once, and what it signed is not good.
func TestSigningKeyLeaked(t *testing.T) {
	t.Parallel()
	now := time.Now()
	table := new(keyTable)
	k := NewKeys(table, NewSecretKey(), func() time.Time { return now })
	if _, err := k.Signer(now); !errors.Is(err, ErrNoSigningKey) {
		t.Errorf("before there is a key: %v", err)
	}
	if err := k.Want(t.Context()); err != nil {
		t.Fatal(err)
	}
	old, err := k.Signer(now)
	if err != nil {
		t.Fatal(err)
	}
	text, err := old.Sign(map[string]any{"sub": "alice"})
	if err != nil {
		t.Fatal(err)
	}
	next, err := k.Rotate(t.Context(), CommandLine(), false)
	if err != nil || next.SignsAt.Sub(now) != keySoon {
		t.Errorf("%+v, %v", next, err)
	}
	if s, _ := k.Signer(now); s != nil && s.ID != old.ID {
		t.Error("the next key signs already")
	}
	if got := KeyStates(table.keys, now.Add(keySoon)); !slices.Equal(got, []KeyState{KeyOld, KeySigns}) {
		t.Errorf("states %v", got)
	}
	if got := KeyStates(table.keys, now.Add(keySoon+keyOverlap)); !slices.Equal(got, []KeyState{KeyGone, KeySigns}) {
		t.Errorf("states %v", got)
	}
	fresh, err := k.Rotate(t.Context(), CommandLine(), true)
	if err != nil || len(table.keys) != 1 {
		t.Fatalf("%v, %d keys are left", err, len(table.keys))
	}
	set, err := json.Marshal(k.Public(now))
	if err != nil {
		t.Fatal(err)
	}
	if err := verifies(t, set, text); err == nil {
		t.Error("what the leaked key signed is still good")
	}
	if s, err := k.Signer(now); err != nil || s.ID != fresh.ID {
		t.Errorf("%v signs, %v", s, err)
	}
}

// With a database that is away, and with a key that cannot be opened, the keys of
// before go on signing, and there is none at the start.
func TestSigningKeysUnreadable(t *testing.T) {
	t.Parallel()
	table, secret := new(keyTable), NewSecretKey()
	k := NewKeys(table, secret, time.Now)
	if err := k.Want(t.Context()); err != nil {
		t.Fatal(err)
	}
	table.away = errors.New("away")
	if err := k.load(t.Context()); !errors.Is(err, table.away) {
		t.Error(err)
	}
	table.away = nil
	for name, sealed := range map[string]string{"of another secret key": NewSecretKey().NewSealer("signing key", time.Now).Seal([]byte("x")),
		"of another purpose": secret.NewSealer("known device", time.Now).Seal([]byte("x")), "no key": k.sealer.Seal([]byte("x")), "nothing": ""} {
		table.keys[0].Sealed = sealed
		if err := k.load(t.Context()); err == nil {
			t.Errorf("%s: is taken", name)
		}
		if err := NewKeys(table, secret, time.Now).Want(t.Context()); err == nil {
			t.Errorf("%s: is taken at the start", name)
		}
	}
	if _, err := k.Signer(time.Now()); err != nil {
		t.Error(err)
	}
	if _, err := k.Rotate(t.Context(), CommandLine(), true); err != nil {
		t.Errorf("the way out: %v", err)
	}
}

// Who keeps the public keys for a while has those of every algorithm before they sign, also
// where another node makes one of another algorithm at the same moment.
func TestSigningKeysOfEveryAlgorithm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table, secret := new(keyTable), NewSecretKey()
		k := NewKeys(&racedTable{table, sync.OnceFunc(func() {
			if _, err := NewKeys(table, secret, time.Now).Rotate(t.Context(), CommandLine(), false); err != nil {
				t.Error(err)
			}
		})}, secret, time.Now)
		if _, err := k.SignerOf(t.Context(), RS256, time.Now()); !errors.Is(err, ErrNoSigningKey) {
			t.Errorf("of a node that signs nothing: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if err := k.WantAll(ctx); err != nil {
			t.Fatal(err)
		}
		if n := len(table.keys); n != 1 {
			t.Errorf("the start waits for %d keys", n)
		}
		go k.Run(ctx, func(err error) { t.Error(err) })
		time.Sleep(keyReload + time.Second)
		set, err := json.Marshal(k.Public(time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		for _, of := range Algorithms {
			by, err := k.SignerOf(ctx, of, time.Now())
			if err != nil {
				t.Fatal(of, err)
			}
			text, err := by.Sign(map[string]any{"sub": "alice"})
			if err != nil {
				t.Fatal(err)
			}
			if err := verifies(t, set, text); err != nil {
				t.Errorf("%s: %v", of, err)
			}
		}
	})
}
