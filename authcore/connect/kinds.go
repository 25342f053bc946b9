package connect

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// maxPages is the most pages that are read of one list, so that each ends.
const maxPages = 20

var errNoEnd = fmt.Errorf("the list does not end within %d pages", maxPages)

func (p *Provider) asksFor(kind string) bool {
	for _, r := range append(whens(p.Grants), p.Allow...) {
		if r.kind == kind {
			return true
		}
	}
	return false
}

const appleIssuer = "https://appleid.apple.com"

// applePerson takes the name, which Apple sends beside the code and at the first
// sign-in only. It comes by way of the browser and is no more than what the person says:
// the address that is there too is not taken.
// Source: Sign in with Apple REST API, "Request an authorization to the Sign in with
// Apple server".
func applePerson(_ context.Context, _ *Provider, who *Person, _ *authcore.ProviderTokens, answer url.Values) error {
	who.Username = "" // Apple has none
	var user struct {
		Name struct{ FirstName, LastName string }
	}
	if first := answer.Get("user"); first == "" || json.Unmarshal([]byte(first), &user) != nil {
		return nil
	}
	name := strings.TrimSpace(user.Name.FirstName + " " + user.Name.LastName)
	if name != "" && authcore.CheckName(name) == nil {
		who.Name = name
	}
	return nil
}

// pages reads a list of GitHub's API to its end.
// Source: GitHub REST API, "Using pagination in the REST API".
func pages[T any](get func(path string, into any) error, path string, each func(T)) error {
	const size = 100 // the most that there is
	for page := range maxPages {
		var list []T
		if err := get(fmt.Sprintf("%sper_page=%d&page=%d", path, size, page+1), &list); err != nil {
			return err
		}
		for _, one := range list {
			each(one)
		}
		if len(list) < size {
			return nil
		}
	}
	return errNoEnd
}

// discordPerson asks Discord's API. Of accounts that have a discriminator yet several
// can have one username.
// Source: Discord developer documentation, "User Object".
func discordPerson(ctx context.Context, p *Provider, who *Person, t *authcore.ProviderTokens, _ url.Values) error {
	if err := getJSON(ctx, p.client, p.kind.api+"/users/@me", t.Access.Reveal(), &who.Claims); err != nil {
		return unanswered(err)
	}
	who.Subject, who.Username, who.Name = text(who.Claims, "id"), text(who.Claims, "username"), text(who.Claims, "global_name")
	if tag := text(who.Claims, "discriminator"); who.Username != "" && tag != "" && tag != "0" {
		who.Username += "#" + tag
	}
	who.Email, who.EmailVerified = text(who.Claims, "email"), truth(who.Claims, "verified")
	return nil
}

// fieldsPerson asks a UserInfo endpoint whose fields the configuration names.
func fieldsPerson(ctx context.Context, p *Provider, who *Person, t *authcore.ProviderTokens, _ url.Values) error {
	if err := getJSON(ctx, p.client, p.kind.api, t.Access.Reveal(), &who.Claims); err != nil {
		return unanswered(err)
	}
	one := func(name string) string {
		if all := values(who.Claims, name); len(all) > 0 {
			return all[0]
		}
		return ""
	}
	f := p.Fields
	who.Subject, who.Username, who.Name, who.Email = one(f.Subject), one(f.Username), one(f.Name), one(f.Email)
	if who.Subject == "true" || who.Subject == "false" || len(values(who.Claims, f.Subject)) > 1 {
		who.Subject = "" // many would share it
	}
	who.EmailVerified = f.EmailVerified != "" && strings.EqualFold(one(f.EmailVerified), "true")
	return nil
}
