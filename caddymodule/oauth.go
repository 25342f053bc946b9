package caddymodule

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/oidcop"
	"github.com/gatehouse-auth/gatehouse/authcore/web/api"
	"github.com/gatehouse-auth/gatehouse/authcore/webhook"
)

// provider is what issues tokens to the services of organizations: where there is a portal.
// The host that it is on is the one that assertions name too.
func (rt *instance) provider(accounts *authcore.Accounts) *oidcop.Provider {
	if rt.portal.host == "" {
		return nil
	}
	return &oidcop.Provider{Issuer: rt.portal.String(), Accounts: accounts, Keys: rt.core.keys, SiteOf: rt.resource, CommandScopes: commandScopes(), State: rt.core.oauth, Log: rt.app.ctx.Slogger()}
}

// commandScopes are all that the JSON API knows of, but for services.
func commandScopes() []string {
	var all []string
	for i := range api.Routes {
		if rt := &api.Routes[i]; rt.Realm != api.Service && !rt.InPerson && rt.NeedsScope() != "" {
			all = append(all, rt.NeedsScope())
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// resource gives a gated site that takes access tokens, by its origin, with a slash at the
// end or without. Of sites that overlap it is the one with that name, as a request goes to
// that.
func (rt *instance) resource(text string) (oidcop.Site, bool) {
	text = strings.TrimSuffix(text, "/")
	o, err := parseOrigin(text)
	if err != nil || o.String() != text {
		return oidcop.Site{}, false
	}
	var found *site
	for i := range rt.sites {
		if s := &rt.sites[i]; s.host != "" && matches(s.host, o.host) && s.with(o.host) == o && (found == nil || s.host == o.host) {
			found = s
		}
	}
	if found == nil || !slices.ContainsFunc(found.gates, func(g *Gate) bool { return g.policy.AcceptsTokens() }) {
		return oidcop.Site{}, false
	}
	at := oidcop.Site{Host: o.host, Organization: organizationOf(found.gates)}
	for _, g := range found.gates {
		at.Gates = append(at.Gates, g)
	}
	return at, true
}

// organizationOf is the slug of the only organization whose members all of some gates let in;
// empty for none.
func organizationOf(gates []*Gate) string {
	only := gates[0].policy.Organization()
	for _, g := range gates {
		if g.policy.Organization() != only {
			return ""
		}
	}
	return only
}

const (
	// noticeLease is who tells services of sign-outs.
	noticeLease = "logout notices"
	// noticeLeaseTime is how long it is taken for, and noticeLeaseEvery how often.
	noticeLeaseTime  = 15 * time.Second
	noticeLeaseEvery = 5 * time.Second
)

// notifier tells services of sign-outs, at addresses that webhooks may be at.
func (rt *instance) notifier() *oidcop.Notifier {
	return &oidcop.Notifier{Provider: rt.pages.OAuth, Client: webhook.NewClient(rt.app.values.webhooks, time.Now).HTTP()}
}

// turn tells whether a holder has a lease, and takes it or has it for longer when that is
// due.
func (c *core) turn(name, holder string, d, every time.Duration) func(context.Context) bool {
	var asked time.Time
	var ours bool
	return func(ctx context.Context) bool {
		if now := time.Now(); now.Sub(asked) >= every {
			won, err := c.db.TakeLease(ctx, name, holder, d)
			if err != nil && ctx.Err() == nil {
				c.log().Debug("a lease cannot be taken", zap.String("lease", name), zap.Error(err))
			}
			ours, asked = won && err == nil, now
		}
		return ours
	}
}
