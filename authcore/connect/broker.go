package connect

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Broker hands out tokens that providers issued, and keeps them fresh: however many
// ask, on however many nodes, one asks the provider.
type Broker struct {
	providers *Providers
	accounts  *authcore.Accounts
	flights   singleflight.Group
}

// NewBroker makes the broker of an installation.
func NewBroker(providers *Providers, accounts *authcore.Accounts) *Broker {
	return &Broker{providers: providers, accounts: accounts}
}

// Current is an access token that is good now.
type Current struct {
	Access  authcore.Secret
	Expires time.Time // zero where the provider does not say
	Scopes  []string
}

const (
	// freshBefore is how long before its end a token is renewed.
	freshBefore = 30 * time.Second
	// renewTime bounds one renewal, and is how long a node that dies keeps the others
	// from it.
	renewTime = 20 * time.Second
	// renewPoll is how often a node looks whether another has renewed.
	renewPoll = 50 * time.Millisecond
)

// ErrActionRequired is where a person has to sign in with a provider again before there
// is a token.
var ErrActionRequired = &authcore.Error{Kind: authcore.Conflict, Code: "action_required",
	Message: "You have to sign in with this provider again before it can be used."}

// Token gives the current access token of a user at a provider, renewed where it is
// near its end. The errors are ErrUnknownProvider, ErrActionRequired, ErrAway and those
// of the database.
func (b *Broker) Token(ctx context.Context, user authcore.UserID, provider string) (Current, error) {
	p, err := b.providers.Find(ctx, "", provider)
	if err != nil {
		return Current{}, err
	}
	all, err := b.accounts.Identities(ctx, user)
	if err != nil {
		return Current{}, err
	}
	// Of several accounts at one provider, the one that was used last.
	var found *authcore.Identity
	for i := range all {
		if all[i].Provider == p.Name && (found == nil || all[i].UsedAt.After(found.UsedAt)) {
			found = &all[i]
		}
	}
	if found == nil {
		return Current{}, ErrActionRequired
	}
	tokens, err := b.accounts.OpenTokens(found)
	switch {
	case err != nil:
		return Current{}, err
	case tokens.Access == "":
		return Current{}, ErrActionRequired
	case b.fresh(tokens):
		return currentOf(tokens), nil
	case tokens.Refresh == "":
		return Current{}, ErrActionRequired
	}
	renewed, err := b.renew(ctx, p, *found, time.Time{})
	if err != nil {
		if errors.Is(err, ErrAway) && b.accounts.Now().Before(tokens.Expires) {
			return currentOf(tokens), nil // it is good for a moment yet
		}
		return Current{}, asAction(err)
	}
	return currentOf(renewed), nil
}

func currentOf(t *Tokens) Current {
	return Current{Access: t.Access, Expires: t.Expires, Scopes: t.Scopes}
}

// asAction makes one error of all that only the person can mend.
func asAction(err error) error {
	for _, gone := range []error{ErrGone, ErrNotAllowed, ErrUnknowable, authcore.ErrIdentityNotFound} {
		if errors.Is(err, gone) {
			return ErrActionRequired.With(err)
		}
	}
	return err
}

func (b *Broker) fresh(t *Tokens) bool {
	return t.Expires.IsZero() || t.Expires.Sub(b.accounts.Now()) > freshBefore
}

// renew has an identity rechecked by one of all who want it. checkedSince is what the
// caller wants the check to be younger than; the zero time wants fresh tokens.
func (b *Broker) renew(ctx context.Context, p *Provider, i authcore.Identity, checkedSince time.Time) (*Tokens, error) {
	done := b.flights.DoChan(string(i.ID), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewTime)
		defer cancel()
		return b.renewAlone(ctx, p, i, checkedSince)
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-done:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*Tokens), nil
	}
}

// renewAlone is renew for the one of this node: it takes the identity's lease, or waits
// for the node that has it.
func (b *Broker) renewAlone(ctx context.Context, p *Provider, i authcore.Identity, checkedSince time.Time) (*Tokens, error) {
	holder := uuid.NewString()
	for {
		latest, ours, err := b.accounts.Store.LeaseIdentity(ctx, i.ID, holder, renewTime)
		if err != nil {
			return nil, err
		}
		tokens, err := b.accounts.OpenTokens(&latest)
		if err != nil {
			return nil, err
		}
		if b.enough(&latest, tokens, checkedSince) {
			if ours {
				err = b.accounts.Store.DropIdentityLease(ctx, i.ID, holder)
			}
			return tokens, err
		}
		if ours {
			return b.ask(ctx, p, latest, tokens, holder)
		}
		if err := pause(ctx, renewPoll); err != nil {
			return nil, ErrAway.With(errors.New("another node does not come back from the provider"))
		}
	}
}

// enough tells whether somebody else has done already what is wanted.
func (b *Broker) enough(i *authcore.Identity, t *Tokens, checkedSince time.Time) bool {
	if checkedSince.IsZero() {
		return t.Access != "" && b.fresh(t)
	}
	return i.CheckedAt.After(checkedSince)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// ask asks the provider, with the lease in hand, and keeps what it says.
func (b *Broker) ask(ctx context.Context, p *Provider, i authcore.Identity, old *Tokens, holder string) (*Tokens, error) {
	who, fresh, err := p.Recheck(ctx, old, i.Subject)
	switch {
	case err == nil:
		v := p.Vouched(who, fresh)
		if _, ok, err := b.accounts.Renewed(ctx, i, v); err != nil {
			return nil, err
		} else if !ok { // the person has signed in meanwhile, or is gone
			return b.latest(ctx, i)
		}
		return fresh, nil
	case errors.Is(err, ErrGone), errors.Is(err, ErrNotAllowed):
		_, err2 := b.accounts.Expel(ctx, i, err)
		return nil, errors.Join(err, err2)
	case fresh != nil && errors.Is(err, ErrUnknowable): // the provider has renewed them, and says no more
		i.CheckedAt = b.accounts.Now()
		return fresh, b.accounts.KeepTokens(ctx, i, fresh)
	case fresh != nil: // the old ones are used up
		return nil, errors.Join(err, b.accounts.KeepTokens(ctx, i, fresh))
	}
	return nil, errors.Join(err, b.accounts.Store.DropIdentityLease(ctx, i.ID, holder))
}

// latest reads an identity's tokens again.
func (b *Broker) latest(ctx context.Context, i authcore.Identity) (*Tokens, error) {
	now, _, err := b.accounts.Store.IdentityBy(ctx, i.Issuer, i.Subject)
	if err != nil {
		return nil, err
	}
	return b.accounts.OpenTokens(&now)
}

// The bounds of rechecking.
const (
	recheckPage    = 200 // identities that one reading finds
	recheckAtOnce  = 8   // that are asked for at once
	recheckMost    = 30 * time.Second
	recheckPerLife = 10 // rounds in the time within which everybody is to be asked for
)

// Recheck asks a provider again and again about those who are signed in by it, each
// once in the provider's interval, until ctx ends. report is told when that fails, and
// with nil when it works again.
func (b *Broker) Recheck(ctx context.Context, p *Provider, report func(error)) {
	every := p.Settings.Recheck
	if every <= 0 {
		return
	}
	failing := false
	for pause(ctx, min(max(every/recheckPerLife, 100*time.Millisecond), recheckMost)) == nil {
		// What is not due yet but would be late with the next round goes along.
		err := b.recheckDue(ctx, p, every-every/recheckPerLife)
		if ctx.Err() == nil && (err != nil || failing) {
			report(err)
			failing = err != nil
		}
	}
}

// recheckDue asks about all whose last check is older than an age, each once.
func (b *Broker) recheckDue(ctx context.Context, p *Provider, age time.Duration) error {
	var failed error
	for after := authcore.IdentityID(""); ; {
		now := b.accounts.Now()
		due, err := b.accounts.Store.IdentitiesDue(ctx, p.Name, now.Add(-age), now, after, recheckPage)
		if err != nil || len(due) == 0 {
			return errors.Join(failed, err)
		}
		after = due[len(due)-1].ID
		err, away := b.recheckAll(ctx, p, due, now.Add(-age))
		if failed = cmp.Or(failed, err); away || len(due) < recheckPage {
			return failed
		}
	}
}

// recheckAll asks about some identities, a few at once. It gives the first error, and
// stops where the provider seems to be away: then as many failed as are asked at once,
// and nobody was answered in between.
func (b *Broker) recheckAll(ctx context.Context, p *Provider, due []authcore.Identity, since time.Time) (failed error, away bool) {
	var mu sync.Mutex
	inRow := 0
	told := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			inRow = 0
			return
		}
		failed = cmp.Or(failed, err)
		if inRow++; inRow >= recheckAtOnce {
			away = true
		}
	}
	stop := func() bool { mu.Lock(); defer mu.Unlock(); return away || ctx.Err() != nil }
	places := make(chan struct{}, recheckAtOnce)
	var all sync.WaitGroup
	for _, i := range due {
		places <- struct{}{}
		if stop() {
			break
		}
		all.Go(func() {
			told(b.recheck(ctx, p, i, since))
			<-places
		})
	}
	all.Wait()
	return failed, away
}

// recheck asks about one identity. That somebody is out is no error.
func (b *Broker) recheck(ctx context.Context, p *Provider, i authcore.Identity, since time.Time) error {
	_, err := b.renew(ctx, p, i, since)
	switch {
	case errors.Is(err, ErrGone), errors.Is(err, ErrNotAllowed), errors.Is(err, authcore.ErrIdentityNotFound):
		return nil
	case errors.Is(err, ErrUnknowable):
		return b.accounts.Checked(ctx, i)
	}
	return err
}
