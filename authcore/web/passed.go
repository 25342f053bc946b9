package web

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/connect"
)

// Made are the values of headers that are made for a request, and not with the user.
type Made struct {
	Assertion string // signed; see Known.Assertion
	Token     string // of a provider; see Known.ProviderToken
}

// PassedHeader is the header in which an upstream gets a provider's token, where the
// configuration names no other.
const PassedHeader = "X-Forwarded-Access-Token"

// Passing is a preset that hands a provider's token to the upstream as well.
func (p *Preset) Passing(header string) (*Preset, error) {
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
