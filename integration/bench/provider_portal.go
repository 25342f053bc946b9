package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/oidcop"
	"github.com/gatehouse-auth/gatehouse/store"
)

const (
	// liveTokens is how many access tokens are introspected, each of a sign-in of its own.
	liveTokens = 1000
	// portalUsers is how many users have them.
	portalUsers = 100
)

// app is a service, as the one who proves to be it.
type app struct {
	id     authcore.ServiceID
	client string
	secret authcore.Secret
}

// endpoints are where a provider answers.
type endpoints struct {
	addr, authority           string
	token, introspect, device string
}

// portal is a running Caddy that is a provider, with services and sign-ins.
type portal struct {
	*process
	endpoints
	ground    *ground
	db        *store.DB
	keys      *authcore.Keys
	static    int // the port where all is answered alike
	admin     string
	shop      app      // takes JWTs, and lets devices in
	vault     app      // takes opaque tokens
	checker   app      // introspects
	refresh   []string // of the shop: one for each connection
	live      []string // access tokens
	questions [][]byte // about each of them
}

// startPortal starts a Caddy with a portal on a database that is filled before.
func (b *bench) startPortal(ctx context.Context, g *ground, profiled bool) (*portal, error) {
	dir := filepath.Join(b.dir, "portal-"+g.name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	p := &portal{ground: g, static: ports[1], endpoints: endpoints{addr: address(ports[0]), authority: authority(proxySite, ports[0]),
		token: oidcop.PathToken, introspect: oidcop.PathIntrospect, device: oidcop.PathDevice}}
	if p.admin = "off"; profiled {
		p.admin = address(ports[2])
	}
	if p.db, err = store.Open(ctx, g.config); err != nil {
		return nil, err
	}
	key := authcore.NewSecretKey()
	if err := errors.Join(p.db.BindKey(ctx, key.ID()), p.fill(ctx)); err != nil {
		return nil, errors.Join(err, p.db.Close())
	}
	config := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(config, []byte(p.caddyfile()), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(b.caddy, "run", "--config", config, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir, "GATE_KEY="+key.Text().Reveal(), "GATE_DATABASE="+g.config.DSN.Reveal())
	if p.process, err = startProcess("caddy on "+g.name, cmd, filepath.Join(dir, "log"), nil, b.cores); err != nil {
		return nil, err
	}
	b.running = append(b.running, p.process)
	if err = p.awaitPort(ctx, p.addr); err == nil {
		err = p.ready(ctx, key)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w; the last words of its log:\n%s", err, p.lastWords()), p.db.Close())
	}
	return p, nil
}

func (p *portal) caddyfile() string {
	database := "sqlite `" + p.ground.config.Path + "`"
	if p.ground.server != nil {
		database = p.ground.config.Driver + " {env.GATE_DATABASE}"
	}
	return "{\n\tadmin " + p.admin + "\n\tauto_https off\n\tpersist_config off\n\tgrace_period 2s\n\tgate {\n\t\tdatabase " + database + "\n\t\tsecret_key {env.GATE_KEY}\n\t\tportal http://" + p.authority +
		"\n\t}\n}\n\nhttp://" + p.authority + " {\n\tbind 127.0.0.1\n\tgate_portal\n}\n\nhttp://" + authority(respondSite, p.static) + " {\n\tbind 127.0.0.1\n\trespond `" + staticAnswer + "`\n}\n"
}

// staticAnswer is as long as what is said of a token.
var staticAnswer = `{"active":true,"username":"` + strings.Repeat("x", 440) + `"}`

// fill makes an organization with services, and users with sign-ins there, past the pages.
func (p *portal) fill(ctx context.Context) error {
	now := time.Now()
	by := func(kind authcore.Action) authcore.Event {
		return authcore.NewEvent(now, authcore.CommandLine(), kind, "", authcore.Success, "")
	}
	var roots []authcore.Session
	for n := range portalUsers {
		u := authcore.User{ID: authcore.NewUserID(), Username: fmt.Sprintf("bob%d", n), Email: fmt.Sprintf("bob%d@example.com", n), Name: "Bob", Status: authcore.Active,
			Groups: []string{"ops", "staff"}, Owner: n == 0, CreatedAt: now, UpdatedAt: now}
		_, hash := authcore.NewToken()
		s := authcore.Session{ID: authcore.NewSessionID(), UserID: u.ID, Host: proxySite.host(), AMR: []string{"pwd"}, AuthTime: now, CreatedAt: now, LastSeen: now, ExpiresAt: now.Add(24 * time.Hour)}
		s.Root = s.ID
		if err := errors.Join(p.db.CreateUser(ctx, u, provenHash, nil, by(authcore.UserCreate)), p.db.CreateSession(ctx, s, hash, provenHash, by(authcore.UserLogin))); err != nil {
			return err
		}
		roots = append(roots, s)
	}
	o := authcore.Organization{ID: authcore.OrganizationID(authcore.NewSessionID()), Slug: "acme", Name: "Acme", Status: authcore.OrganizationActive, Tier: "enterprise", CreatedAt: now, UpdatedAt: now}
	if err := p.db.CreateOrganization(ctx, o, roots[0].UserID, by(authcore.OrganizationCreate)); err != nil {
		return err
	}
	for _, a := range []struct {
		app    *app
		kind   authcore.ServiceType
		format authcore.TokenFormat
	}{{&p.shop, authcore.ServiceWeb, authcore.TokenJWT}, {&p.vault, authcore.ServiceWeb, authcore.TokenOpaque}, {&p.checker, authcore.ServiceAPI, authcore.TokenJWT}} {
		secret, hash := authcore.GrantTokenKind("gate_cs_").New()
		s := authcore.Service{ID: authcore.ServiceID(authcore.NewSessionID()), Organization: o.ID, Type: a.kind, Secret: hash, CreatedAt: now, UpdatedAt: now,
			ServiceSettings: authcore.ServiceSettings{Name: string(a.kind), Status: authcore.Active, Access: authcore.ReachEveryone, TokenFormat: a.format, Algorithm: authcore.ES256, Device: true,
				AccessLife: 12 * time.Hour, RefreshLife: authcore.DefaultRefreshLife, RedirectURIs: []string{"https://shop.example.com/callback"}, Scopes: []string{"orders.read"}}}
		s.ClientID = strings.ReplaceAll(string(s.ID), "-", "")
		if err := p.db.CreateService(ctx, s, by(authcore.ServiceCreate)); err != nil {
			return err
		}
		*a.app = app{s.ID, s.ClientID, secret}
	}
	return p.signIn(ctx, o.ID, roots, now)
}

// signIn signs users in at the shop. Each sign-in brings a refresh token.
func (p *portal) signIn(ctx context.Context, o authcore.OrganizationID, roots []authcore.Session, now time.Time) error {
	p.refresh = make([]string, liveTokens+grantConns)
	return inParallel(len(p.refresh), func(n int) error {
		root := roots[n%len(roots)]
		s := authcore.ServiceSession{ID: authcore.NewSessionID(), Organization: o, Service: p.shop.id, User: root.UserID, Root: root.ID, Scopes: []string{"openid", "profile", "groups", "orders.read"},
			AMR: root.AMR, AuthTime: now, Address: "192.0.2.1", Agent: browserAgent, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
		_, code := authcore.KindCode.New()
		text, hash := authcore.KindRefresh.New()
		ev := authcore.NewEvent(now, authcore.Actor{Kind: authcore.ActorUser, User: s.User}, authcore.ServiceLogin, authcore.TargetUser(s.User), authcore.Success, "")
		refresh := authcore.RefreshToken{Hash: hash, Session: s.ID, CreatedAt: now, ExpiresAt: now.Add(12 * time.Hour)}
		p.refresh[n] = text.Reveal()
		return errors.Join(p.db.BeginGrant(ctx, s, authcore.GrantCode{Hash: code, Session: s.ID, Service: s.Service, CreatedAt: now, ExpiresAt: now.Add(time.Minute)}, authcore.TokenHash{}, ev),
			p.db.RedeemGrantCode(ctx, code, now.Add(12*time.Hour), "", &refresh, nil, ev))
	})
}

// inParallel does something n times, by as many workers as clients commit: each does every so
// manieth, from its own number on.
func inParallel(n int, do func(i int) error) error {
	errs := make([]error, commitClients)
	var all sync.WaitGroup
	for w := range errs {
		all.Go(func() {
			for i := w; i < n && errs[w] == nil; i += len(errs) {
				errs[w] = do(i)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// ready waits until the provider answers, redeems the refresh tokens of those that are
// introspected for access tokens, and introspects one.
func (p *portal) ready(ctx context.Context, key authcore.SecretKey) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	clients, err := dialAll(ctx, p.addr, commitClients)
	if err != nil {
		return err
	}
	defer closeAll(clients)
	if err := limit(clients, time.Now().Add(time.Minute)); err != nil {
		return err
	}
	for { // 503 while it starts
		body, err := clients[0].ask(p.post(p.token, p.shop, url.Values{"grant_type": {"client_credentials"}}))
		if err == nil && field(body, "access_token") != "" {
			break
		}
		if wait(ctx, 50*time.Millisecond) != nil {
			return fmt.Errorf("the provider gives no token: %w", err)
		}
	}
	tokens := p.refresh
	p.refresh, p.live, p.questions = slices.Clone(tokens[:grantConns]), make([]string, liveTokens), make([][]byte, liveTokens)
	err = inParallel(liveTokens, func(i int) error {
		body, err := clients[i%commitClients].ask(p.post(p.token, p.shop, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens[grantConns+i]}}))
		if p.live[i] = field(body, "access_token"); err == nil && p.live[i] == "" {
			err = fmt.Errorf("no access token came for a refresh token, but %.200s", body)
		}
		p.questions[i] = p.post(p.introspect, p.checker, url.Values{"token": {p.live[i]}})
		return err
	})
	if err != nil {
		return err
	}
	p.keys = authcore.NewKeys(p.db, key, time.Now)
	if err := p.keys.Want(ctx); err != nil {
		return err
	}
	fresh, err := p.mint(1)
	if err != nil {
		return err
	}
	for _, request := range [][]byte{p.questions[0], fresh[0]} {
		if body, err := clients[0].ask(request); err != nil || !strings.HasPrefix(string(body), activeAnswer) {
			return fmt.Errorf("a good token is said to be %.200s: %w", body, err)
		}
	}
	return nil
}

// activeAnswer is how the answer about a good token begins.
const activeAnswer = `{"active":true`

// mint makes requests about tokens that are good, and that the provider has never seen: other
// ids are put into those that it issued, and they are signed with its own key.
func (p *portal) mint(n int) ([][]byte, error) {
	signer, err := p.keys.Signer(time.Now())
	if err != nil {
		return nil, err
	}
	all := make([][]byte, n)
	return all, inParallel(n, func(i int) error {
		_, rest, _ := strings.Cut(p.live[i%len(p.live)], ".")
		payload, _, _ := strings.Cut(rest, ".")
		raw, err := base64.RawURLEncoding.DecodeString(payload)
		if err != nil {
			return err
		}
		var claims map[string]any
		if err := json.Unmarshal(raw, &claims); err != nil {
			return err
		}
		claims = maps.Clone(claims)
		claims["jti"] = authcore.NewSessionID()
		for _, name := range []string{"iat", "exp", "auth_time"} {
			if at, ok := claims[name].(float64); ok {
				claims[name] = int64(at)
			}
		}
		token, err := signer.SignAs(authcore.TypeAccessToken, claims)
		all[i] = p.post(p.introspect, p.checker, url.Values{"token": {token}})
		return err
	})
}

// post is a whole POST request of a program that proves to be a client by Basic.
func (e endpoints) post(path string, by app, form url.Values) []byte {
	body := form.Encode()
	return []byte(strings.Join([]string{
		"POST " + path + " HTTP/1.1",
		"Host: " + e.authority,
		"User-Agent: gatehouse-bench",
		"Accept: application/json",
		"Content-Type: application/x-www-form-urlencoded",
		"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(by.client+":"+by.secret.Reveal())),
		fmt.Sprintf("Content-Length: %d", len(body)),
	}, "\r\n") + "\r\n\r\n" + body)
}

// ask sends a request and gives the body of the answer, until the next one.
func (c *client) ask(request []byte) ([]byte, error) {
	if err := c.send(request); err != nil {
		return nil, err
	}
	err := c.resp.read(c.br)
	return c.resp.body, err
}

// field finds a text in JSON that a provider writes: one without anything escaped.
func field(body []byte, name string) string {
	_, rest, _ := strings.Cut(string(body), `"`+name+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
