package store_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
)

// benchUser opens a new SQLite file with one user in two groups.
func benchUser(b *testing.B) (*store.DB, authcore.User) {
	b.Helper()
	db := open(b, filepath.Join(b.TempDir(), "gate.db"))
	u, ev := aUser("alice")
	u.Groups = []string{"ops", "staff"}
	if err := db.CreateUser(b.Context(), u, "hash", nil, ev); err != nil {
		b.Fatal(err)
	}
	return db, u
}

func benchSession(b *testing.B, db *store.DB, u authcore.User) authcore.TokenHash {
	b.Helper()
	_, token := authcore.NewToken()
	now := time.Now()
	s := authcore.Session{ID: authcore.NewSessionID(), UserID: u.ID, Host: "auth.example.com", AMR: []string{"pwd"},
		AuthTime: now, CreatedAt: now, LastSeen: now, ExpiresAt: now.Add(time.Hour), Address: "192.0.2.1", Agent: "Agent/1.0"}
	s.Root = s.ID
	ev := authcore.NewEvent(now, authcore.CommandLine(), authcore.UserLogin, u.Username, authcore.Success, "")
	if err := db.CreateSession(b.Context(), s, token, "hash", ev); err != nil {
		b.Fatal(err)
	}
	return token
}

func BenchmarkSessionByToken(b *testing.B) {
	db, u := benchUser(b)
	tokens := make([]authcore.TokenHash, 1000)
	for i := range tokens {
		tokens[i] = benchSession(b, db, u)
	}
	// As a request has one: it can be given up.
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, _, err := db.SessionByToken(ctx, tokens[i%len(tokens)]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreateSession(b *testing.B) {
	db, u := benchUser(b)
	b.ReportAllocs()
	for b.Loop() {
		benchSession(b, db, u)
	}
}
