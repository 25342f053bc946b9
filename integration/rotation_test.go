package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/web/api"
)

// keyKeeper checks tokens as a strict client does: by public keys that it reads again when
// they are of an age, never because it misses one.
type keyKeeper struct {
	keeps time.Duration
	read  func() string // the keys, of one node or another

	mu   sync.Mutex
	keys jose.JSONWebKeySet
	from time.Time
}

// checks verifies a token and gives the id of the key that signed it.
func (k *keyKeeper) checks(token string) (kid string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.from) >= k.keeps {
		k.keys = jose.JSONWebKeySet{}
		if err := json.Unmarshal([]byte(k.read()), &k.keys); err != nil {
			return "", err
		}
		k.from = time.Now()
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		return "", err
	}
	kid = parsed.Headers[0].KeyID
	known := k.keys.Key(kid)
	if len(known) != 1 {
		return kid, fmt.Errorf("no key %s among those read %v ago", kid, time.Since(k.from))
	}
	return kid, parsed.Claims(known[0].Key, new(jwt.Claims))
}

// TestRotationUnderLoad rotates the keys while two nodes sign for clients, which keep the
// public keys for a while: no token is ever refused, those from before neither. The wait is
// shortened; with GATE_ROTATION=1 it is the real one of eleven minutes.
func TestRotationUnderLoad(t *testing.T) {
	patient := times(t, "GATE_ROTATION", 0) > 0
	eachServer(t, func(t *testing.T, driver string) {
		c := newCluster(t, driver, false)
		one := startIssuer(t, c)
		two := issuerAt(start(t, issuerFile, func(s *server) {
			s.Address = "127.0.0.2"
			c.gate(s)
			s.Vars["HTTPS"] = one.Vars["HTTPS"] // the portal has one address
		}))
		nodes := []*issuer{one, two}
		keeps, rotations := 3*time.Second, 1
		if patient {
			keeps, rotations = 5*time.Minute, 1
		}

		var mu sync.Mutex
		var failures []string
		seen := make(map[string]bool) // "node algorithm key"
		fails := func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			if failures = append(failures, fmt.Sprintf(format, args...)); len(failures) == 1 {
				t.Errorf(format, args...)
			}
		}
		var made, checked atomic.Int64
		stop := make(chan struct{})
		var all sync.WaitGroup
		end := sync.OnceFunc(func() { close(stop); all.Wait() })
		defer end()
		for _, algorithm := range []string{"ES256", "RS256"} {
			s := one.service(t, api.NewService{Name: algorithm, Algorithm: authcore.Algorithm(algorithm), AccessLife: 3600}) // the test takes less
			turn, readers := 0, []*browser{one.Client(t), two.Client(t)}
			keeper := &keyKeeper{keeps: keeps, read: func() string {
				turn++
				return readers[turn%2].fetch(one.at + "/.gate/oauth/jwks").Body
			}}
			for n, node := range nodes {
				all.Go(func() {
					here, there := node.Client(t), nodes[1-n].Client(t)
					ask := func(b *browser, path string, form url.Values) page {
						return b.do("POST", one.at+path, form.Encode(), header{"Content-Type", "application/x-www-form-urlencoded"}, basic(s.ClientID, s.Secret))
					}
					var older []string
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						case <-time.After(20 * time.Millisecond):
						}
						got := ask(here, "/.gate/oauth/token", url.Values{"grant_type": {"client_credentials"}})
						var told struct {
							Token string `json:"access_token"`
						}
						if err := json.Unmarshal([]byte(got.Body), &told); err != nil || got.StatusCode != http.StatusOK {
							fails("node %d: %s\n%s", n, got.Status, got.Body)
							continue
						}
						made.Add(1)
						kid, err := keeper.checks(told.Token)
						if err != nil {
							fails("node %d, %s: %v", n, algorithm, err)
						}
						mu.Lock()
						seen[fmt.Sprint(n, " ", algorithm, " ", kid)] = true
						mu.Unlock()
						if older = append(older, told.Token); len(older) > 200 { // some of all ages
							older = slices.Delete(older, 1+i%199, 2+i%199)
						}
						old := older[i%len(older)]
						if _, err := keeper.checks(old); err != nil {
							fails("node %d, %s, a token of before: %v", n, algorithm, err)
						}
						checked.Add(2)
						if i%10 == 0 {
							if got := ask(there, "/.gate/oauth/introspect", url.Values{"token": {old}}); got.StatusCode != http.StatusOK || !isActive(got.Body) {
								fails("node %d asks the other one: %s\n%s", n, got.Status, got.Body)
							}
						}
					}
				})
			}
		}
		signed := func() int { // by how many keys, over both nodes
			mu.Lock()
			defer mu.Unlock()
			return len(seen)
		}
		eventually(t, "tokens of both nodes", func() bool { return signed() == 4 })
		for i := range rotations {
			one.must(t, "", "key", "rotate")
			wait := 12 * time.Minute
			if !patient { // as long as the nodes take to learn of it, and clients to read it
				one.edit(t, "UPDATE signing_keys SET signs_at = ? WHERE signs_at > ?", time.Now().Add(25*time.Second).UnixMicro(), time.Now().UnixMicro())
				wait = patience
			}
			for limit := time.Now().Add(wait + patience); signed() < 4*(i+2) && time.Now().Before(limit) && !t.Failed(); {
				time.Sleep(50 * time.Millisecond)
			}
			if got := signed(); got != 4*(i+2) {
				t.Errorf("after rotation %d, keys that signed: %d", i+1, got)
			}
		}
		end()
		t.Logf("%s: %d tokens of two nodes, %d checks by kept keys, %d rotations, %d failures", driver, made.Load(), checked.Load(), rotations, len(failures))
	})
}

func isActive(body string) bool {
	var told struct {
		Active bool `json:"active"`
	}
	return json.Unmarshal([]byte(body), &told) == nil && told.Active
}
