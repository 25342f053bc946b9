//go:build unix

package caddymodule

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/web"
)

// memory answers for sessions as a database would.
type memory map[authcore.TokenHash]authcore.Session

func (m memory) SessionByToken(_ context.Context, token authcore.TokenHash) (authcore.Session, authcore.User, error) {
	s, ok := m[token]
	if !ok {
		return s, authcore.User{}, authcore.ErrNoSession
	}
	return s, authcore.User{ID: s.UserID, Username: "alice", Email: "alice@example.com", EmailVerified: true, Name: "Alice",
		Status: authcore.Active, Groups: []string{"ops", "staff"}}, nil
}

func (m memory) AccessTokenByHash(ctx context.Context, token authcore.TokenHash) (authcore.AccessToken, authcore.User, error) {
	s, u, err := m.SessionByToken(ctx, token)
	if err != nil || s.Access == nil {
		return authcore.AccessToken{}, u, authcore.ErrNoSession
	}
	return *s.Access, u, nil
}

func (memory) ChangesSince(context.Context, time.Time) ([]authcore.Change, time.Time, error) {
	return nil, time.Now(), nil
}

func (memory) TouchSessions(context.Context, []authcore.Seen) error { return nil }

// gateWith makes a gate over n sessions in memory, and their tokens.
func gateWith(tb testing.TB, n int) (*Gate, []string) {
	tb.Helper()
	stored := make(memory, n)
	tokens := make([]string, n)
	now := time.Now()
	for i := range n {
		token, hash := authcore.NewToken()
		id := authcore.NewSessionID()
		stored[hash] = authcore.Session{ID: id, Root: id, UserID: authcore.UserID(fmt.Sprint("user-", i%1000)), Host: "app.example.com",
			AuthTime: now, CreatedAt: now, LastSeen: now, ExpiresAt: now.Add(24 * time.Hour)}
		tokens[i] = token.Reveal()
	}
	sessions := authcore.NewSessions(stored, time.Now, web.Prepare)
	for _, token := range tokens {
		if _, err := sessions.Lookup(tb.Context(), token, now, 24*time.Hour); err != nil {
			tb.Fatal(err)
		}
	}
	app := &App{values: values{lifetime: authcore.Lifetime{Idle: 24 * time.Hour, Max: 24 * time.Hour}}}
	app.core = newCore(app.values.database)
	rt := &instance{app: app, core: app.core, check: &web.Check{Sessions: sessions, Idle: 24 * time.Hour}}
	app.instance.Store(rt)
	return &Gate{app: app, policy: access.Everyone, preset: web.RemotePreset}, tokens
}

// signedIn makes a request as Caddy hands it to handlers.
func signedIn(tb testing.TB, token string) (*httptest.ResponseRecorder, *http.Request) {
	tb.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "https://app.example.com/wiki/page?x=1", nil)
	for k, v := range map[string]string{"Accept": "text/html", "Accept-Language": "en", "Accept-Encoding": "gzip", "User-Agent": "Mozilla/5.0",
		"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin", "Referer": "https://app.example.com/", "Connection": "keep-alive"} {
		r.Header.Set(k, v)
	}
	r.Header["Cookie"] = []string{"__Host-gate=" + token}
	return w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
}

// BenchmarkGate is the whole way of a signed-in request through the gate, without
// Caddy's own work before and after it.
func BenchmarkGate(b *testing.B) {
	for _, n := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprint(n, "-sessions"), func(b *testing.B) {
			g, tokens := gateWith(b, n)
			passed := 0
			next := caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
				if r.Header["Remote-User"] != nil {
					passed++
				}
				return nil
			})
			w, r := signedIn(b, tokens[0])
			repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
			start := *repl
			cookies := make([][]string, len(tokens))
			for i, token := range tokens {
				cookies[i] = []string{"__Host-gate=" + token}
			}
			b.ReportAllocs()
			i, cpu := 0, cpuTime(b)
			for b.Loop() {
				r.Header["Cookie"] = cookies[i%n]
				*repl = start // each request has a replacer of its own
				if err := g.ServeHTTP(w, r, next); err != nil {
					b.Fatal(err)
				}
				i += 7919
			}
			b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op") // what a busy machine does not change
			if passed != b.N {
				b.Fatalf("%d of %d requests passed", passed, b.N)
			}
		})
	}
}

// BenchmarkYardstick tells how fast the machine is just now: SHA-256 of 32 bytes.
func BenchmarkYardstick(b *testing.B) {
	var text [32]byte
	b.ReportAllocs()
	for b.Loop() {
		sum := sha256.Sum256(text[:])
		copy(text[:], sum[:])
	}
}

// BenchmarkCheck is the check itself: cookie, hash, session, policy, activity,
// headers. 100,000 sessions are in memory; requests come from some of them, or
// from each in turn, which then finds nothing of its session in the processor's
// caches. The cookies lie one after another, so that reading one's own costs as
// little as it does for a request that has just been read from its connection.
func BenchmarkCheck(b *testing.B) {
	const n = 100_000
	g, tokens := gateWith(b, n)
	for _, active := range []int{100, 10_000, n} {
		b.Run(fmt.Sprint(active, "-active"), func(b *testing.B) { benchmarkCheck(b, g, tokens[:active]) })
	}
}

func benchmarkCheck(b *testing.B, g *Gate, tokens []string) {
	n := len(tokens)
	rt := g.app.instance.Load()
	_, r := signedIn(b, tokens[0])
	var all strings.Builder
	for _, token := range tokens {
		all.WriteString("_ga=1; theme=dark; __Host-gate=" + token)
	}
	cookies, length := all.String(), all.Len()/n
	cookie := []string{""}
	r.Header["Cookie"] = cookie
	req := access.Request{Method: "GET", Path: "/wiki/page"}
	var store web.Values
	b.ReportAllocs()
	i, cpu := 0, cpuTime(b)
	for b.Loop() {
		cookie[0] = cookies[i*length : (i+1)*length]
		v, err := rt.check.Judge(r.Context(), web.CredentialsOf(r.Header, true), g.door(web.Hostname(r.Host)), time.Now(), &req)
		if err != nil || v.Outcome != access.Allow {
			b.Fatal(v, err)
		}
		v.Live.Prepared().(*web.Known).Tell(r.Header, g.preset, v.Live.Prepared().(*web.Known).In(v.Organization), &store, web.PerRequest{})
		if i++; i == n {
			i = 0
		}
	}
	b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op")
}

// cpuTime is the processor time that this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkVerify is the whole way of a proxy's question through the verifier,
// without Caddy's own work before and after it.
func BenchmarkVerify(b *testing.B) {
	g, tokens := gateWith(b, 1000)
	o, err := parseHost("app.example.com")
	if err != nil {
		b.Fatal(err)
	}
	g.app.values.trusted = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	v := &Verify{app: g.app, hosts: []verified{{o, g}}}
	r := httptest.NewRequest("GET", "http://127.0.0.1:9091/verify/caddy", nil)
	for name, value := range map[string]string{"Accept": "text/html", "Accept-Encoding": "gzip", "User-Agent": "Mozilla/5.0", "X-Forwarded-For": "198.51.100.7",
		"X-Forwarded-Method": "GET", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.example.com", "X-Forwarded-Uri": "/wiki/page?x=1",
		"Cookie": "__Host-gate=" + tokens[42]} {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
	b.ReportAllocs()
	for b.Loop() {
		if err := v.ServeHTTP(w, r, nil); err != nil {
			b.Fatal(err)
		}
	}
	if w.Code != http.StatusOK || w.Header().Get("Remote-User") != "alice" {
		b.Fatalf("it says %d %v", w.Code, w.Header())
	}
}
