package oidcop

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/limit"
	"github.com/gatehouse-auth/gatehouse/store"
)

// benched is a provider on a SQLite file, with a service that has signed a user in.
type benched struct {
	*Provider
	shop    *client
	secret  authcore.Secret
	session authcore.ServiceSession
	refresh string
}

func benchProvider(b testing.TB) *benched {
	b.Helper()
	ctx := b.Context()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	db, err := store.Open(ctx, store.Config{Driver: store.SQLite, Path: filepath.Join(b.TempDir(), "gate.db")})
	must(err)
	b.Cleanup(func() { db.Close() })
	now := time.Now()
	event := func(a authcore.Action) authcore.Event {
		return authcore.NewEvent(now, authcore.CommandLine(), a, "", authcore.Success, "")
	}
	u := authcore.User{ID: authcore.NewUserID(), Username: "alice", Email: "alice@example.com", Name: "Alice", Status: authcore.Active, Groups: []string{"ops", "staff"}, CreatedAt: now, UpdatedAt: now}
	must(db.CreateUser(ctx, u, "hash", nil, event(authcore.UserCreate)))
	root := authcore.Session{ID: authcore.NewSessionID(), UserID: u.ID, AMR: []string{"pwd"}, AuthTime: now, CreatedAt: now, LastSeen: now, ExpiresAt: now.Add(time.Hour)}
	root.Root = root.ID
	_, token := authcore.NewToken()
	must(db.CreateSession(ctx, root, token, "hash", event(authcore.UserLogin)))
	o := authcore.Organization{ID: "acme", Slug: "acme", Status: authcore.OrganizationActive, Tier: authcore.DefaultTier, CreatedAt: now, UpdatedAt: now}
	must(db.CreateOrganization(ctx, o, u.ID, event(authcore.OrganizationCreate)))
	x := &benched{}
	secret, hash := authcore.GrantTokenKind("gate_cs_").New()
	s := authcore.Service{ID: "shop", Organization: o.ID, Type: authcore.ServiceWeb, ClientID: "0123456789abcdef0123456789abcdef", Secret: hash, CreatedAt: now, UpdatedAt: now,
		ServiceSettings: authcore.ServiceSettings{Name: "Shop", Status: authcore.Active, Access: authcore.ReachEveryone, TokenFormat: authcore.TokenJWT, AccessLife: time.Hour, RefreshLife: time.Hour, Device: true}}
	must(db.CreateService(ctx, s, event(authcore.ServiceCreate)))
	x.session = authcore.ServiceSession{ID: authcore.NewSessionID(), Organization: o.ID, Service: s.ID, User: u.ID, Root: root.ID, Scopes: []string{"openid", "profile", "groups"}, AMR: root.AMR,
		AuthTime: now, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
	_, code := authcore.KindCode.New()
	text, refresh := authcore.KindRefresh.New()
	must(db.BeginGrant(ctx, x.session, authcore.GrantCode{Hash: code, CreatedAt: now, ExpiresAt: now.Add(time.Minute)}, authcore.TokenHash{}, event(authcore.ServiceLogin)))
	must(db.RedeemGrantCode(ctx, code, now.Add(time.Hour), "", &authcore.RefreshToken{Hash: refresh, Session: x.session.ID, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}, nil, event(authcore.ServiceLogin)))
	x.refresh, x.secret = text.Reveal(), secret
	sessions := authcore.NewSessions(db, time.Now, nil)
	keys := authcore.NewKeys(db, authcore.NewSecretKey(), time.Now)
	must(keys.Want(ctx))
	x.Provider = &Provider{Issuer: issuer, Keys: keys, SiteOf: func(string) (Site, bool) { return Site{}, false }, State: NewState(db, sessions, time.Now), Log: slog.New(slog.DiscardHandler),
		Accounts: &authcore.Accounts{Store: db, Sessions: sessions, Now: time.Now, Notices: limit.New(limit.Pace{}, time.Now), Lifetime: authcore.Lifetime{Idle: time.Hour}}}
	sessions.MaxSilence(authcore.SilenceLimit) // nobody reads changes here
	x.shop, err = x.find(ctx, s.ClientID)
	must(err)
	return x
}

// post makes a request as a program sends it.
func (x *benched) post(path string, form url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, issuer+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(x.shop.ClientID+":"+x.secret.Reveal())))
	return r
}

// answerer keeps the body of an answer.
type answerer struct {
	header http.Header
	status int
	body   []byte
}

func (a *answerer) Header() http.Header    { return a.header }
func (a *answerer) WriteHeader(status int) { a.status = status }
func (a *answerer) Write(p []byte) (int, error) {
	a.body = append(a.body[:0], p...)
	return len(p), nil
}

// serve has an endpoint answer, with 200.
func (x *benched) serve(b testing.TB, endpoint Endpoint, r *http.Request) []byte {
	a := answerer{header: make(http.Header)}
	endpoint(&a, r, authcore.Client{Address: "192.0.2.1"})
	if a.status != http.StatusOK {
		b.Fatalf("%d %s", a.status, a.body)
	}
	return a.body
}

func BenchmarkIntrospect(b *testing.B) {
	x := benchProvider(b)
	token := x.issued(b)
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if says, err := x.Introspect(b.Context(), x.shop.Service, token); err != nil || len(says) < 100 {
				b.Fatalf("%s %v", says, err)
			}
		}
	})
	b.Run("endpoint", func(b *testing.B) {
		r := x.post(PathIntrospect, nil)
		form := url.Values{"token": {token}}.Encode()
		b.ReportAllocs()
		for b.Loop() {
			r.Body = io.NopCloser(strings.NewReader(form))
			x.serve(b, x.Endpoint(PathIntrospect), r)
		}
	})
	b.Run("new", func(b *testing.B) {
		_, hash := authcore.NewToken()
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := x.read(b.Context(), token, hash); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := x.Keys.Verify(token, authcore.TypeAccessToken, time.Now(), new(accessClaims)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// issued is an access token of the user.
func (x *benched) issued(b testing.TB) string {
	var out tokens
	body := x.serve(b, x.Endpoint(PathToken), x.post(PathToken, url.Values{"grant_type": {grantRefresh}, "refresh_token": {x.refresh}}))
	if err := json.Unmarshal(body, &out); err != nil {
		b.Fatal(err)
	}
	x.refresh = out.Refresh
	return out.Access
}

func BenchmarkAuthenticate(b *testing.B) {
	x := benchProvider(b)
	r := x.post(PathToken, nil)
	form := url.Values{"grant_type": {grantClient}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.authenticate(r, form, authcore.Client{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	x := benchProvider(b)
	g, err := x.Accounts.Store.GrantBySession(b.Context(), x.session.ID, time.Now(), time.Now().Add(-time.Hour))
	if err != nil {
		b.Fatal(err)
	}
	i := x.begin(x.shop, &g, g.Session.Scopes, nil, "")
	b.Run("token", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := x.make(b.Context(), i); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("signature", func(b *testing.B) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		digest := make([]byte, 32)
		b.ReportAllocs()
		for b.Loop() {
			_, e := ecdsa.SignASN1(rand.Reader, key, digest)
			err = errors.Join(err, e)
		}
		if err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkToken(b *testing.B) {
	x := benchProvider(b)
	for name, form := range map[string]url.Values{"client credentials": {"grant_type": {grantClient}}, "refresh": {"grant_type": {grantRefresh}}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if name == "refresh" {
					form.Set("refresh_token", x.refresh)
				}
				body := x.serve(b, x.Endpoint(PathToken), x.post(PathToken, form))
				if name == "refresh" {
					_, rest, _ := strings.Cut(string(body), `"refresh_token":"`)
					x.refresh, _, _ = strings.Cut(rest, `"`)
				}
			}
		})
	}
}

// BenchmarkDevice has many devices ask for codes at once.
func BenchmarkDevice(b *testing.B) {
	x := benchProvider(b)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	go x.State.Run(ctx)
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			x.serve(b, x.Endpoint(PathDevice), x.post(PathDevice, url.Values{"scope": {"openid"}}))
		}
	})
}

// BenchmarkPoll has a device ask that waits, and has asked before.
func BenchmarkPoll(b *testing.B) {
	x := benchProvider(b)
	text, hash := authcore.KindDevice.New()
	now := time.Now()
	if err := x.Accounts.Store.AddDeviceGrants(b.Context(), []authcore.DeviceGrant{{Device: hash, Service: x.shop.Service.ID, Status: authcore.DeviceWaiting, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}}); err != nil {
		b.Fatal(err)
	}
	form := url.Values{"grant_type": {grantDevice}, "device_code": {text.Reveal()}}
	b.ReportAllocs()
	for b.Loop() {
		x.State.polls.shard(authcore.DeviceKeyOf(hash)).all[authcore.DeviceKeyOf(hash)] = poll{expires: now.Add(time.Hour), service: x.shop.Service.ID, waiting: true}
		a := answerer{header: make(http.Header)}
		x.token(&a, x.post(PathToken, form), authcore.Client{})
		if a.status != http.StatusBadRequest {
			b.Fatalf("%d %s", a.status, a.body)
		}
	}
}
