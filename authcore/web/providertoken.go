package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/connect"
)

// brokerScope is the scope that an access token needs to be given the user's tokens at
// a provider.
func brokerScope(provider string) string { return "provider:" + provider }

// providerToken gives a service the current access token of a user at a provider. It
// must have an access token of that user with the scope for it.
func providerToken(name string) endpoint {
	return func(h *Handler, w http.ResponseWriter, r *http.Request, p Place) error {
		provider, err := h.Providers.Find(r.Context(), "", name)
		if err != nil || !provider.HandsOutTokens {
			return connect.ErrUnknownProvider
		}
		by := CredentialsOf(r.Header, p.Secure)
		if by.Access == "" {
			h.RefuseToken(w, p, errBrokerToken)
			return nil
		}
		live, err := h.Check.Sessions.LookupAccessToken(r.Context(), by.Access, h.Accounts.Now())
		if errors.Is(err, authcore.ErrNoSession) {
			h.RefuseToken(w, p, notGood.err)
			return nil
		}
		if err != nil {
			return err
		}
		switch grant := &live.Session.Access.Grant; {
		case !grant.Holds(p.Host, r.URL.Path):
			h.RefuseToken(w, p, notGranted.err)
			return nil
		case !grant.Has([]string{brokerScope(name)}):
			h.RefuseToken(w, p, lacksScope("access token", brokerScope(name)))
			return nil
		}
		if err := h.Check.Sessions.Touch(r.Context(), live, h.Accounts.Now()); err != nil {
			return err
		}
		return h.answerToken(w, r, p, provider, live.Session.UserID)
	}
}

var errBrokerToken = &authcore.Error{Kind: authcore.Unauthenticated, Code: "token_required",
	Message: "Send an access token of the user as Authorization: Bearer."}

func (h *Handler) answerToken(w http.ResponseWriter, r *http.Request, p Place, provider *connect.Provider, user authcore.UserID) error {
	current, err := h.Broker.Token(r.Context(), user, provider.Name)
	if err != nil {
		prob := describe(err, p.Client.RequestID)
		more := map[string]any{}
		if prob.Code == connect.ErrActionRequired.Code {
			more["action_url"] = p.Portal + Prefix + "connect/" + url.PathEscape(provider.Name)
		}
		h.log(r, prob, err)
		writeProblem(w, prob, more)
		return nil
	}
	body := map[string]any{"access_token": current.Access.Reveal(), "token_type": "Bearer", "scope": strings.Join(current.Scopes, " ")}
	if !current.Expires.IsZero() {
		body["expires_at"] = current.Expires.UTC().Format(time.RFC3339)
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}

// PerRequest are the values of headers that are made for a request, and not with the user.
type PerRequest struct {
	Assertion string // signed; see Known.Assertion
	Token     string // of a provider; see Known.ProviderToken
}

// ProviderTokenHeader is the header in which an upstream gets a provider's token, where the
// configuration names no other.
const ProviderTokenHeader = "X-Forwarded-Access-Token"

// WithProviderToken is a preset that hands a provider's token to the upstream as well.
func (p *Preset) WithProviderToken(header string) (*Preset, error) {
	own, err := NewPreset([]IdentityHeader{{header, FieldProviderToken}})
	if err != nil {
		return nil, err
	}
	for _, h := range p.Headers {
		if foldName(h.Name) == foldName(header) {
			return nil, errors.New(header + " tells something else already")
		}
	}
	return &Preset{Name: p.Name, Headers: append(p.Headers[:len(p.Headers):len(p.Headers)], own.Headers...), Answer: p.Answer, Signed: p.Signed}, nil
}

// passed is a provider's token that was handed on lately; an empty one says that there
// was none.
type passed struct {
	provider, token string
	until           time.Time
}

// For how long a provider's token, or that there is none, is known without asking.
const (
	passedFor   = 5 * time.Minute
	passedEarly = 30 * time.Second // before the token ends
	missedFor   = 10 * time.Second
)

// ProviderToken gives the current token of the user at a provider, to be handed to an
// upstream; empty where there is none. What is known ends with every change of the user.
func (k *Known) ProviderToken(ctx context.Context, b *connect.Broker, user authcore.UserID, provider string, now time.Time) (string, error) {
	if all := k.passed.Load(); all != nil {
		for i := range *all {
			if p := &(*all)[i]; p.provider == provider && now.Before(p.until) {
				return p.token, nil
			}
		}
	}
	current, err := b.Token(ctx, user, provider)
	fresh := passed{provider: provider, token: current.Access.Reveal(), until: now.Add(passedFor)}
	switch {
	case errors.Is(err, connect.ErrActionRequired), errors.Is(err, connect.ErrAway):
		fresh.until = now.Add(missedFor)
	case err != nil:
		return "", err
	case !current.Expires.IsZero() && current.Expires.Add(-passedEarly).Before(fresh.until):
		fresh.until = current.Expires.Add(-passedEarly)
	}
	k.keepPassed(fresh)
	return fresh.token, nil
}

// keepPassed replaces what is known of a provider.
func (k *Known) keepPassed(fresh passed) {
	for {
		before := k.passed.Load()
		next := []passed{fresh}
		if before != nil {
			for _, p := range *before {
				if p.provider != fresh.provider {
					next = append(next, p)
				}
			}
		}
		if k.passed.CompareAndSwap(before, &next) {
			return
		}
	}
}
