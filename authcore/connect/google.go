package connect

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// googlePerson believes an address where it is Google's own, or of an organization that
// Google hosts (hd): of others it knows only that they were somebody's once. It looks up
// groups where a rule names some, for accounts of an organization: Google answers others
// with 403.
// Source: Google, "Verify the Google ID token on your server side", hd; "OpenID Connect",
// "Validating an ID token"; Cloud Identity API,
// groups.memberships.searchTransitiveGroups.
func googlePerson(ctx context.Context, p *Provider, who *Person, t *authcore.ProviderTokens, _ url.Values) error {
	who.Issuer = googleIssuer // which some tokens name without https
	hosted := text(who.Claims, "hd") != ""
	_, domain, _ := strings.Cut(access.FoldAddress(who.Email), "@")
	who.EmailVerified = who.EmailVerified && (hosted || domain == "gmail.com" || domain == "googlemail.com")
	if !p.asksFor("google_group") || !hosted || !who.EmailVerified || who.Email == "" || authcore.CheckEmail(who.Email) != nil {
		return nil
	}
	query := "member_key_id == '" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(who.Email) + "'" +
		" && 'cloudidentity.googleapis.com/groups.discussion_forum' in labels"
	next := ""
	for range maxPages {
		var found googleGroups
		if err := p.googleGroups(ctx, url.Values{"query": {query}, "pageToken": {next}}, t, &found); err != nil {
			return err
		}
		for _, m := range found.Memberships {
			// A group with a namespace is no Google Group: who makes it chooses its id freely.
			if m.GroupKey.Namespace == "" {
				who.Member = append(who.Member, "google_group:"+access.FoldAddress(m.GroupKey.ID))
			}
		}
		if next = found.Next; next == "" {
			return nil
		}
	}
	return ErrAway.With(errNoEnd)
}

// googleGroups is a page of the groups that somebody is in.
// Source: Cloud Identity API, GroupRelation and EntityKey.
type googleGroups struct {
	Memberships []struct {
		GroupKey struct {
			ID        string `json:"id"`
			Namespace string `json:"namespace"`
		} `json:"groupKey"`
	} `json:"memberships"`
	Next string `json:"nextPageToken"`
}

func (p *Provider) googleGroups(ctx context.Context, query url.Values, t *authcore.ProviderTokens, into *googleGroups) error {
	base := "https://cloudidentity.googleapis.com"
	if p.kind.api != "" {
		base = p.kind.api
	}
	err := getJSON(ctx, p.client, base+"/v1/groups/-/memberships:searchTransitiveGroups?"+query.Encode(), t.Access.Reveal(), into)
	switch {
	case err == nil:
		return nil
	case hasStatus(err, http.StatusForbidden):
		err = fmt.Errorf("google_group: switch the Cloud Identity API on for the project of the client, and have an edition that searches transitive groups: %w", err)
	}
	return unanswered(err)
}
