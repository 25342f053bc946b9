package connect

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// The bounds of rechecking.
const (
	recheckPage    = 200 // identities that one reading finds
	recheckAtOnce  = 8   // that are asked for at once
	recheckLeast   = 100 * time.Millisecond
	recheckMost    = 30 * time.Second
	recheckPerLife = 10 // rounds in the time within which everybody is to be asked for
)

// Recheck asks a provider again and again about those who are signed in by it, each
// once in the provider's interval, until ctx ends. report is told when that fails, and
// with nil when it works again.
func (b *Broker) Recheck(ctx context.Context, p *Provider, report func(error)) {
	every := p.RecheckEvery
	if every <= 0 {
		return
	}
	failing := false
	for sleep(ctx, min(max(every/recheckPerLife, recheckLeast), recheckMost)) {
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
		due, err := b.store.IdentitiesDue(ctx, p.Name, now.Add(-age), now, after, recheckPage)
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
// stops where the provider seems to be away: then as many failed in a row as are asked
// at once. Of those who came by an organization's own client only they are left alone then:
// what is wrong with that is nobody else's.
func (b *Broker) recheckAll(ctx context.Context, p *Provider, due []authcore.Identity, since time.Time) (failed error, away bool) {
	var mu sync.Mutex
	inRow := make(map[string]int) // by the organization whose client is used; empty for the platform's
	told := func(organization string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			inRow[organization] = 0
			return
		}
		failed = cmp.Or(failed, err)
		if inRow[organization]++; organization == "" && inRow[organization] >= recheckAtOnce {
			away = true
		}
	}
	over := func(organization string) (skip, all bool) {
		mu.Lock()
		defer mu.Unlock()
		return inRow[organization] >= recheckAtOnce, away || ctx.Err() != nil
	}
	places := make(chan struct{}, recheckAtOnce)
	var all sync.WaitGroup
	for _, i := range due {
		organization := ""
		if tokens, err := b.accounts.OpenTokens(&i); err == nil {
			organization = tokens.To.Organization
		}
		places <- struct{}{}
		skip, end := over(organization)
		if end {
			break
		}
		if skip {
			<-places
			continue
		}
		all.Go(func() {
			told(organization, b.recheck(ctx, p, i, since))
			<-places
		})
	}
	all.Wait()
	return failed, away
}

// recheck asks about one identity. That somebody is out is no error.
func (b *Broker) recheck(ctx context.Context, p *Provider, i authcore.Identity, since time.Time) error {
	checked := func(i *authcore.Identity, _ *authcore.ProviderTokens) bool { return i.CheckedAt.After(since) }
	_, err := b.renew(ctx, p, i, "check", checked)
	switch {
	case errors.Is(err, errGone), errors.Is(err, ErrClientGone), errors.Is(err, ErrNotAllowed), errors.Is(err, authcore.ErrIdentityNotFound):
		return nil
	case errors.Is(err, errUnknowable):
		return b.accounts.Checked(ctx, i)
	}
	return err
}
