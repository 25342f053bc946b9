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

// BenchmarkAddDeviceGrants adds batches as they come of a busy hour; the time is that of one
// device.
func BenchmarkAddDeviceGrants(b *testing.B) {
	const batch = 100
	db := open(b, filepath.Join(b.TempDir(), "gate.db"))
	all := make([]authcore.DeviceGrant, batch)
	now := time.Now()
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		i := n % batch
		_, device := authcore.NewToken()
		all[i] = authcore.DeviceGrant{Device: device, Service: "0190a000-0000-7000-8000-000000000021", Scopes: []string{"openid", "offline_access"},
			Address: "192.0.2.1", Agent: "Television/1.0", Status: authcore.DeviceWaiting, CreatedAt: now, ExpiresAt: now.Add(10 * time.Minute)}
		if i == batch-1 {
			if err := db.AddDeviceGrants(b.Context(), all); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// benchGrants makes sessions at a service, with a refresh token each.
func benchGrants(b *testing.B, n int) (*store.DB, []authcore.ServiceSession, []authcore.RefreshToken) {
	b.Helper()
	db, u := benchUser(b)
	now := time.Now()
	event := func() authcore.Event {
		return authcore.NewEvent(now, authcore.CommandLine(), authcore.ServiceLogin, "", authcore.Success, "")
	}
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	o := authcore.Organization{ID: "acme", Slug: "acme", Status: authcore.OrganizationActive, Tier: authcore.DefaultTier, CreatedAt: now, UpdatedAt: now}
	must(db.CreateOrganization(b.Context(), o, u.ID, event()))
	s := authcore.Service{ID: "shop", Organization: o.ID, Type: authcore.ServiceWeb, ClientID: "client", ServiceSettings: authcore.ServiceSettings{Name: "Shop", Status: authcore.Active,
		Access: authcore.ReachMembers, RedirectURIs: []string{"https://shop.example.com/callback"}}, CreatedAt: now, UpdatedAt: now}
	must(db.CreateService(b.Context(), s, event()))
	root := authcore.Session{ID: authcore.NewSessionID(), UserID: u.ID, AuthTime: now, CreatedAt: now, LastSeen: now, ExpiresAt: now.Add(time.Hour)}
	root.Root = root.ID
	must(db.CreateSession(b.Context(), root, authcore.HashToken("root"), "hash", event()))
	var sessions []authcore.ServiceSession
	var tokens []authcore.RefreshToken
	for range n {
		session := authcore.ServiceSession{ID: authcore.NewSessionID(), Organization: o.ID, Service: s.ID, User: u.ID, Root: root.ID, Scopes: []string{"openid"}, AMR: []string{"pwd"},
			AuthTime: now, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
		_, code := authcore.NewToken()
		_, refresh := authcore.NewToken()
		token := authcore.RefreshToken{Hash: refresh, Session: session.ID, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
		must(db.BeginGrant(b.Context(), session, authcore.GrantCode{Hash: code, CreatedAt: now, ExpiresAt: now.Add(time.Minute)}, authcore.TokenHash{}, event()))
		must(db.RedeemGrantCode(b.Context(), code, session.ExpiresAt, "", &token, nil, event()))
		sessions, tokens = append(sessions, session), append(tokens, token)
	}
	return db, sessions, tokens
}

func BenchmarkGrantBySession(b *testing.B) {
	db, sessions, _ := benchGrants(b, 1000)
	now, idle := time.Now(), time.Now().Add(-time.Hour)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := db.GrantBySession(ctx, sessions[i%len(sessions)].ID, now, idle); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRotateRefresh(b *testing.B) {
	db, _, tokens := benchGrants(b, 1)
	used, now := tokens[0], time.Now()
	b.ReportAllocs()
	for b.Loop() {
		_, hash := authcore.NewToken()
		next := authcore.RefreshToken{Hash: hash, Session: used.Session, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
		used.Salt = "salt"
		if err := db.RotateRefresh(b.Context(), used, now.Add(time.Hour), next, nil); err != nil {
			b.Fatal(err)
		}
		used = next
	}
}

func BenchmarkBeginGrant(b *testing.B) { benchGrants(b, b.N) }
