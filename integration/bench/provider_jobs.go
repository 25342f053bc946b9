package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// refreshes: each connection redeems the refresh token that it got last.
func (t *trial) refreshes() ([]contender, error) {
	all, err := t.limits(true)
	for _, p := range t.portals {
		all = append(all, t.asking(servedOn(p.ground.name), commitsOn(p.ground.name), p.process, p.refreshing(p.shop, p.refresh)))
	}
	if z := t.zitadel; z != nil {
		all = append(all, t.asking("zitadel", "", z.process, z.refreshing(app{client: "web", secret: "secret"}, z.refresh)))
	}
	return all, err
}

// refreshing redeems refresh tokens, of which each connection has one, for the next ones.
func (e endpoints) refreshing(by app, tokens []string) job {
	return job{addr: e.addr, talk: func(n int) func() ask {
		return func() ask {
			return ask{e.post(e.token, by, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens[n]}}), func(r *response) error {
				next := field(r.body, "refresh_token")
				if r.status != 200 || next == "" || next == tokens[n] || !bytes.Contains(r.body, []byte(`"id_token":"`)) {
					return fmt.Errorf("a refresh token brings %d, %.200s", r.status, r.body)
				}
				tokens[n] = next
				return nil
			}}
		}
	}}
}

// clientCredentials: services ask for tokens of their own.
func (t *trial) clientCredentials() ([]contender, error) {
	all, err := t.limits(true)
	for _, p := range t.portals {
		name := p.ground.name
		all = append(all, t.asking(servedOn(name), signatures, p.process, p.granting(p.shop)), t.asking(servedOn(name)+" opaque", commitsOn(name), p.process, p.granting(p.vault)))
	}
	if z := t.zitadel; z != nil {
		all = append(all, t.asking("zitadel JWT", "", z.process, z.granting(app{client: "sid1-jwt", secret: "verysecret"})),
			t.asking("zitadel opaque", "", z.process, z.granting(app{client: "sid1", secret: "verysecret"})))
	}
	return all, err
}

// granting asks for tokens of a client's own.
func (e endpoints) granting(by app) job {
	one := ask{e.post(e.token, by, url.Values{"grant_type": {"client_credentials"}}), func(r *response) error { return has(r, `"access_token":"`) }}
	return job{addr: e.addr, talk: func(int) func() ask { return func() ask { return one } }}
}

// has judges an answer that should be 200 with a text in it.
func has(r *response, text string) error {
	if r.status != 200 || !bytes.Contains(r.body, []byte(text)) {
		return fmt.Errorf("status %d, body %.200s", r.status, r.body)
	}
	return nil
}

// introspections: of live tokens, one after the other, and of such as come for the first time.
func (t *trial) introspections() ([]contender, error) {
	var all []contender
	if len(t.portals) > 0 {
		p := t.portals[0]
		elsewhere := p.endpoints
		elsewhere.addr, elsewhere.authority = address(p.static), authority(respondSite, p.static)
		var questions [][]byte
		for _, token := range p.live {
			questions = append(questions, elsewhere.post(p.introspect, p.checker, url.Values{"token": {token}}))
		}
		all = append(all, t.asking(responds, "", p.process, asking(elsewhere.addr, questions)))
	}
	for _, p := range t.portals {
		name := servedOn(p.ground.name)
		all = append(all, t.asking(name, "", p.process, asking(p.addr, p.questions)), t.askingNew(name+" new", p))
	}
	if z := t.zitadel; z != nil {
		questions, err := z.questions(t.ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, t.asking("zitadel", "", z.process, asking(z.addr, questions)))
	}
	return all, nil
}

// asking introspects tokens one after the other. Each connection begins at another one.
func asking(addr string, questions [][]byte) job {
	return job{addr: addr, talk: func(n int) func() ask {
		at := n * len(questions) / grantConns
		return func() ask {
			at++
			return ask{questions[at%len(questions)], active}
		}
	}}
}

func active(r *response) error {
	if r.status != 200 || !bytes.HasPrefix(r.body, []byte(activeAnswer)) {
		return fmt.Errorf("a good token is said to be: %d, %.200s", r.status, r.body)
	}
	return nil
}

// mintedPerSecond is more than are ever introspected in a second.
const mintedPerSecond = 12_000

// errMinted says that a slice was too fast for the tokens that were made for it.
var errMinted = errors.New("the tokens that were made beforehand have run out")

// askingNew introspects each token once. They are made before the slice begins.
func (t *trial) askingNew(who variant, p *portal) contender {
	var questions [][]byte
	var at atomic.Int64
	j := job{addr: p.addr, talk: func(int) func() ask {
		return func() ask {
			n := int(at.Add(1)) - 1
			if n >= len(questions) {
				return ask{questions[0], func(*response) error { return errMinted }}
			}
			return ask{questions[n], active}
		}
	}}
	c := t.asking(who, "", p.process, j)
	run := c.run
	c.run = func(ctx context.Context, d time.Duration) (slice, error) {
		var err error
		if questions, err = p.mint(int(mintedPerSecond * (d + shortRamp) / time.Second)); err != nil {
			return slice{}, err
		}
		at.Store(0)
		return run(ctx, d)
	}
	return c
}

// deviceCodes: devices ask for codes.
func (t *trial) deviceCodes() ([]contender, error) {
	all, err := t.limits(false)
	for _, p := range t.portals {
		all = append(all, t.asking(servedOn(p.ground.name), commitsOn(p.ground.name), p.process, p.beginning(p.shop)))
	}
	if z := t.zitadel; z != nil {
		over := variant("")
		if len(all) > 0 {
			over = all[0].who
		}
		all = append(all, t.asking("zitadel", over, z.process, z.beginning(app{client: "device", secret: "secret"})))
	}
	return all, err
}

// beginning asks for device codes.
func (e endpoints) beginning(by app) job {
	one := ask{e.post(e.device, by, url.Values{"scope": {"openid profile"}}), func(r *response) error { return has(r, `"device_code":"`) }}
	return job{addr: e.addr, talk: func(int) func() ask { return func() ask { return one } }}
}

// beginning is that of endpoints; a code that the example refuses because it has drawn one that
// is taken counts as made.
func (z *zitadel) beginning(by app) job {
	begins := z.endpoints.beginning(by).talk(0)()
	judge := begins.judge
	begins.judge = func(r *response) error {
		if r.status == 500 && bytes.Contains(r.body, []byte("user code already exists")) {
			return nil
		}
		return judge(r)
	}
	return job{addr: z.addr, talk: func(int) func() ask { return func() ask { return begins } }}
}

// zitadelTokens is how many of its tokens are introspected.
const zitadelTokens = liveTokens

// questions gets tokens of zitadel's service user, and makes requests about them.
func (z *zitadel) questions(ctx context.Context) ([][]byte, error) {
	clients, err := dialAll(ctx, z.addr, 1)
	if err != nil {
		return nil, err
	}
	defer closeAll(clients)
	if err := limit(clients, time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	by := app{client: "sid1", secret: authcore.Secret("verysecret")}
	var all [][]byte
	for range zitadelTokens {
		body, err := clients[0].ask(z.post(z.token, by, url.Values{"grant_type": {"client_credentials"}}))
		token := field(body, "access_token")
		if err != nil || token == "" {
			return nil, fmt.Errorf("zitadel's example gives no token, but %.200s: %w", body, err)
		}
		all = append(all, z.post(z.introspect, by, url.Values{"token": {strings.Clone(token)}}))
	}
	return all, nil
}
