package connect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/gatehouse-auth/gatehouse/authcore"
	"golang.org/x/oauth2"
)

// complete asks for what the tokens do not say. It returns ErrNotAllowed where no rule
// lets the person in, and the person is complete all the same.
func (p *Provider) complete(ctx context.Context, m *metadata, who *Person, t *authcore.ProviderTokens, answer url.Values) error {
	if m.oidc != nil {
		if err := p.userInfo(ctx, m, who, t); err != nil {
			return err
		}
		who.Username = text(who.Claims, "preferred_username")
		who.Name, who.Email = text(who.Claims, "name"), text(who.Claims, "email")
		who.EmailVerified = truth(who.Claims, "email_verified")
	}
	if p.kind.person != nil {
		if err := p.kind.person(ctx, p, who, t, answer); err != nil {
			return err
		}
	}
	if who.Subject == "" || len(who.Subject) > maxSubject {
		return ErrAnswer.With(errors.New("the provider names no subject"))
	}
	if authcore.CheckEmail(who.Email) != nil {
		who.Email, who.EmailVerified = "", false
	}
	if authcore.CheckName(who.Name) != nil {
		who.Name = ""
	}
	who.EmailVerified = who.EmailVerified && who.Email != ""
	if !slices.ContainsFunc(p.Allow, func(r Rule) bool { return r.Holds(who) }) {
		return ErrNotAllowed.With(fmt.Errorf("no allow rule holds for %s", &authcore.Vouched{Username: who.Username, Email: who.Email, EmailVerified: who.EmailVerified}))
	}
	return nil
}

// userInfo adds the claims of the UserInfo endpoint, where there is one and it is asked
// for anything that the ID token does not hold (OpenID Connect Core section 5.3).
func (p *Provider) userInfo(ctx context.Context, m *metadata, who *Person, t *authcore.ProviderTokens) error {
	_, named := who.Claims["email"]
	if !named { // what is verified, by the ID token, is then no address that it tells
		delete(who.Claims, "email_verified")
		delete(who.Claims, "xms_edov")
	}
	if m.document.UserInfo == "" || named && !p.asksForMore(who) {
		return nil
	}
	if t.Access == "" {
		return ErrAnswer.With(errNoToken)
	}
	info, err := m.oidc.UserInfo(oidc.ClientContext(ctx, p.client), oauth2.StaticTokenSource(&oauth2.Token{AccessToken: t.Access.Reveal()}))
	if err != nil {
		return ErrAway.With(errors.New("its UserInfo endpoint does not answer as it should")) // the error may hold what it sent
	}
	if info.Subject != who.Subject {
		return ErrAnswer.With(fmt.Errorf("UserInfo is of subject %q, the ID token of %q", info.Subject, who.Subject))
	}
	more := make(map[string]any)
	if err := decode(info.Claims, &more); err != nil {
		return ErrAnswer.With(err)
	}
	if named && text(more, "email") != text(who.Claims, "email") {
		delete(more, "email_verified") // of the address beside it
	}
	maps.DeleteFunc(more, func(name string, _ any) bool { _, known := who.Claims[name]; return known })
	maps.Copy(who.Claims, more)
	return nil
}

// asksForMore tells whether some rule looks at claims that a UserInfo endpoint may have
// besides. Those of Google and Microsoft have none.
func (p *Provider) asksForMore(who *Person) bool {
	switch {
	case p.Kind == Google || p.Kind == Microsoft:
		return false
	case len(p.GroupsFrom) > 0 || p.asksFor("group") || p.asksFor("claim"):
		return true
	}
	return p.asksFor("user") && text(who.Claims, "preferred_username") == ""
}
