package connect

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// TokenStore is what the broker needs of a database beside the accounts. The contracts
// are those of authcore.IdentityStore.
type TokenStore interface {
	IdentityBy(ctx context.Context, issuer, subject string) (authcore.Identity, authcore.User, error)
	LeaseIdentity(ctx context.Context, id authcore.IdentityID, holder string, d time.Duration) (i authcore.Identity, ok bool, err error)
	DropIdentityLease(ctx context.Context, id authcore.IdentityID, holder string) error
	IdentitiesDue(ctx context.Context, provider string, before, now time.Time, after authcore.IdentityID, limit int) ([]authcore.Identity, error)
}

// Broker hands out tokens that providers issued, and keeps them fresh: however many
// ask, on however many nodes, one asks the provider.
type Broker struct {
	providers *Providers
	accounts  *authcore.Accounts
	store     TokenStore
	flights   singleflight.Group
}

// NewBroker makes the broker of an installation.
func NewBroker(providers *Providers, accounts *authcore.Accounts) *Broker {
	return &Broker{providers: providers, accounts: accounts, store: accounts.Store}
}

// Current is an access token that is good now.
type Current struct {
	Access  authcore.Secret
	Expires time.Time // zero where the provider does not say
	Scopes  []string
}

func currentOf(t *authcore.ProviderTokens) Current {
	return Current{Access: t.Access, Expires: t.Expires, Scopes: t.Scopes}
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
	i, err := b.identity(ctx, user, p.Name)
	if err != nil {
		return Current{}, err
	}
	tokens, err := b.accounts.OpenTokens(i)
	if err == nil {
		_, err = b.providers.FindIssuer(ctx, p.Name, tokens.To)
	}
	switch {
	case err != nil:
		return Current{}, asAction(err)
	case tokens.Access == "":
		return Current{}, ErrActionRequired
	case b.fresh(i, tokens):
		return currentOf(tokens), nil
	case tokens.Refresh == "":
		return Current{}, ErrActionRequired
	}
	renewed, err := b.renew(ctx, p, *i, "token", b.fresh)
	switch {
	case renewed != nil: // whatever else the provider did not say
		return currentOf(renewed), nil
	case (errors.Is(err, ErrAway) || errors.Is(err, ErrMisconfigured)) && b.accounts.Now().Before(tokens.Expires):
		return currentOf(tokens), nil // it is good for a moment yet
	}
	return Current{}, asAction(err)
}

// identity finds the account of a user at a provider. Of several it is the one that was
// used last: the person who is there now came by it.
func (b *Broker) identity(ctx context.Context, user authcore.UserID, provider string) (*authcore.Identity, error) {
	all, err := b.accounts.Identities(ctx, user)
	if err != nil {
		return nil, err
	}
	var found *authcore.Identity
	for i := range all {
		if all[i].Provider == provider && (found == nil || all[i].UsedAt.After(found.UsedAt)) {
			found = &all[i]
		}
	}
	if found == nil {
		return nil, ErrActionRequired
	}
	return found, nil
}

// CameBy gives the client by which a user came last with a provider: that of the
// organization with the slug, or the platform's where it is empty.
func (b *Broker) CameBy(ctx context.Context, user authcore.UserID, provider string) (organization string, err error) {
	i, err := b.identity(ctx, user, provider)
	if errors.Is(err, ErrActionRequired) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	tokens, err := b.accounts.OpenTokens(i)
	if err != nil {
		return "", err
	}
	return tokens.To.Organization, nil
}

// asAction makes one error of all that only the person can mend.
func asAction(err error) error {
	for _, gone := range []error{errGone, ErrClientGone, ErrNotAllowed, errUnknowable, authcore.ErrIdentityNotFound} {
		if errors.Is(err, gone) {
			return ErrActionRequired.With(err)
		}
	}
	return err
}

// enough tells whether what is wanted of an identity is there: because somebody else has
// seen to it meanwhile.
type enough func(*authcore.Identity, *authcore.ProviderTokens) bool

// fresh wants a token that is good for a while.
func (b *Broker) fresh(_ *authcore.Identity, t *authcore.ProviderTokens) bool {
	return t.Access != "" && (t.Expires.IsZero() || t.Expires.Sub(b.accounts.Now()) > freshBefore)
}

// renew has an identity rechecked by one of all who want the same of it. The tokens that
// it gives may be there beside an error.
func (b *Broker) renew(ctx context.Context, p *Provider, i authcore.Identity, what string, is enough) (*authcore.ProviderTokens, error) {
	done := b.flights.DoChan(what+" "+string(i.ID), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewTime)
		defer cancel()
		return b.renewAlone(ctx, p, i, is)
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-done:
		return r.Val.(*authcore.ProviderTokens), r.Err
	}
}

// renewAlone is renew for the one of this node: it takes the identity's lease, or waits
// for the node that has it.
func (b *Broker) renewAlone(ctx context.Context, p *Provider, i authcore.Identity, is enough) (*authcore.ProviderTokens, error) {
	holder := uuid.NewString()
	for {
		latest, ours, err := b.store.LeaseIdentity(ctx, i.ID, holder, renewTime)
		if err != nil {
			return nil, err
		}
		tokens, err := b.accounts.OpenTokens(&latest)
		if err != nil {
			return nil, err
		}
		if is(&latest, tokens) {
			if ours {
				err = b.store.DropIdentityLease(ctx, i.ID, holder)
			}
			return tokens, err
		}
		if ours {
			return b.recheckLeased(ctx, p, latest, tokens, holder)
		}
		if !sleep(ctx, renewPoll) {
			return nil, ErrAway.With(errors.New("another node does not come back from the provider"))
		}
	}
}

// sleep tells whether it ended by itself.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// recheckLeased asks the provider, with the lease in hand, and keeps what it says. It asks
// as the client that the tokens were issued to: to any other it says that they are no good.
func (b *Broker) recheckLeased(ctx context.Context, p *Provider, i authcore.Identity, old *authcore.ProviderTokens, holder string) (*authcore.ProviderTokens, error) {
	if old.To != p.IssuedTo() {
		own, err := b.providers.FindIssuer(ctx, p.Name, old.To)
		switch {
		case errors.Is(err, ErrClientGone):
			return nil, errors.Join(err, b.accounts.ClientGone(ctx, i, old.To))
		case err != nil:
			return nil, errors.Join(err, b.store.DropIdentityLease(ctx, i.ID, holder))
		}
		p = own
	}
	who, fresh, err := p.Recheck(ctx, old, i.Subject)
	switch {
	case err == nil:
		if ok, err := b.accounts.Renewed(ctx, i, p.Vouched(who, fresh)); err != nil {
			return nil, err
		} else if !ok { // the person has signed in meanwhile, or is gone
			return b.latest(ctx, i)
		}
		return fresh, nil
	case errors.Is(err, errGone), errors.Is(err, ErrNotAllowed):
		return nil, errors.Join(err, b.accounts.Expel(ctx, i, err))
	case fresh != nil && errors.Is(err, errUnknowable): // the provider has renewed them, and says no more
		i.CheckedAt = b.accounts.Now()
		return fresh, b.accounts.KeepTokens(ctx, i, fresh)
	case fresh != nil: // the old ones are used up
		return fresh, errors.Join(err, b.accounts.KeepTokens(ctx, i, fresh))
	}
	return nil, errors.Join(err, b.store.DropIdentityLease(ctx, i.ID, holder))
}

// latest reads an identity's tokens again.
func (b *Broker) latest(ctx context.Context, i authcore.Identity) (*authcore.ProviderTokens, error) {
	now, _, err := b.store.IdentityBy(ctx, i.Issuer, i.Subject)
	if err != nil {
		return nil, err
	}
	return b.accounts.OpenTokens(&now)
}
