package oidcop

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// The paths of the provider under its Issuer.
const (
	PathAuthorize  = "/.gate/oauth/authorize"
	PathToken      = "/.gate/oauth/token"
	PathDevice     = "/.gate/oauth/device"
	PathIntrospect = "/.gate/oauth/introspect"
	PathRevoke     = "/.gate/oauth/revoke"
	PathUserinfo   = "/.gate/oauth/userinfo"
	PathKeys       = "/.gate/oauth/jwks"
	PathPush       = "/.gate/oauth/par"
	PathEndSession = "/.gate/oauth/end_session"
	// PathVerification is the page where a user lets a device in.
	PathVerification = "/.gate/device"
)

// Provider issues tokens to services.
type Provider struct {
	Issuer   string // the origin of the portal, without a slash at the end
	Accounts *authcore.Accounts
	Keys     *authcore.Keys
	// SiteOf gives a gated site that takes access tokens, by its address
	// (RFC 8707); false where there is none.
	SiteOf func(resource string) (Site, bool)
	// CommandScopes are those of the API that the command line gets.
	CommandScopes []string
	State         *State
	Log           *slog.Logger
}

// Site is a gated site that takes access tokens.
type Site struct {
	Host         string
	Organization string // slug of the only one whose members it lets in; empty for none
	Gates        []any  // that stand on it, as they tell who they are: see GoodAt
}

// State is what a provider keeps in memory. It outlives the configurations that use it.
type State struct {
	devices *batcher[authcore.DeviceGrant, struct{}]
	reader  *batcher[authcore.TokenHash, *authcore.DeviceGrant]
	polls   *polls
	// Proofs and assertions that were used: apart, so that one cannot use the other up.
	proofs, assertions *seen
	clients            sync.Map     // client id: *client, of the generation that it says
	kept               atomic.Int64 // how many, about
}

// NewState makes the memory of a provider on a database. It hears of changes from sessions,
// which do not listen yet.
func NewState(store authcore.DeviceGrantStore, sessions *authcore.Sessions, now func() time.Time) *State {
	s := &State{devices: newDeviceQueue(store), reader: newDeviceReader(store), polls: newPolls(now), proofs: newSeen(now), assertions: newSeen(now)}
	sessions.OnDevice(s.polls.answered)
	return s
}

// Run writes the device codes that are asked for, and reads what became of them, until ctx
// ends.
func (s *State) Run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { s.reader.run(ctx) })
	both.Go(func() { s.devices.run(ctx) })
	both.Wait()
}

// Endpoint answers one kind of request of programs.
type Endpoint func(w http.ResponseWriter, r *http.Request, from authcore.Client)

// Endpoint gives what answers at a path of the provider; nil where that is a page, or
// nothing.
func (p *Provider) Endpoint(path string) Endpoint {
	switch path {
	case PathToken:
		return toScripts(p.token)
	case PathDevice:
		return toScripts(p.device)
	case PathIntrospect:
		return p.introspect
	case PathRevoke:
		return toScripts(p.revoke)
	case PathUserinfo:
		return toScripts(p.userinfo)
	case PathPush:
		return toScripts(p.push)
	case "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server":
		return toScripts(p.discovery)
	}
	return nil
}

// OrganizationOf gives the organization of a service that can be used; ErrNoService.
func (p *Provider) OrganizationOf(ctx context.Context, s authcore.Service) (authcore.Organization, error) {
	_, o, err := p.Accounts.Store.ServiceForToken(ctx, s.ID)
	if errors.Is(err, authcore.ErrNoSession) {
		err = ErrNoService
	}
	return o, err
}

// toScripts lets scripts of other origins ask, as apps in browsers do: nothing here believes a
// cookie.
func toScripts(e Endpoint) Endpoint {
	return func(w http.ResponseWriter, r *http.Request, from authcore.Client) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		if r.Method == http.MethodOptions {
			h.Set("Access-Control-Allow-Methods", "GET, POST")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP")
			h.Set("Access-Control-Max-Age", "7200")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After")
		e(w, r, from)
	}
}

func (p *Provider) now() time.Time { return p.Accounts.Now() }

// fail answers with an error. What is our fault is logged.
func (p *Provider) fail(w http.ResponseWriter, r *http.Request, from authcore.Client, err error) {
	e := sorted(err)
	if e.Status == http.StatusInternalServerError && r.Context().Err() == nil { // else nobody waits for it
		p.Log.Error("a request to the provider failed", "path", r.URL.Path, "request_id", from.RequestID, "error", authcore.CauseOf(err))
	}
	switch e.Code {
	case "server_error", "temporarily_unavailable", errPending.Code, errSlowDown.Code, errExpired.Code, errDenied.Code: // no mistake of the client
	default:
		p.Refused(from, "path", r.URL.Path, "error", e.Error())
	}
	e.write(w)
}

// Refused logs that a request of a client was refused, so that whoever sets one up sees why: a
// few times a minute for each address. says are names and values.
func (p *Provider) Refused(from authcore.Client, says ...any) {
	if ok, _ := p.Accounts.Notices.Take("client " + from.Address); ok {
		p.Log.Info("a request to the provider was refused", append([]any{"address", from.Address, "request_id", from.RequestID}, says...)...)
	}
}

// actor is a service that acts with its own credentials.
func actor(from authcore.Client) authcore.Actor {
	return authcore.Actor{Kind: authcore.ActorService, Client: from}
}
