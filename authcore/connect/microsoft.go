package connect

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/google/uuid"
)

// microsoftPersonal is the tenant of personal accounts.
// Source: Microsoft identity platform, "ID token claims reference", iss.
const microsoftPersonal = "9188040d-6c67-4c5b-b112-36a304b66dad"

// tenant is what the address of Microsoft names in place of one tenant, or that tenant.
func (p *Provider) tenant() string {
	return strings.TrimSuffix(strings.TrimPrefix(p.Issuer, microsoftBase), "/v2.0")
}

// anyTenant gives the issuer that Microsoft's document has where the address names no
// tenant by its id: then the document's issuer is not the address.
// Source: Microsoft identity platform, "Access tokens", "Validate the issuer"; "OpenID
// Connect", "Find your app's OpenID configuration document URI".
func (p *Provider) anyTenant() string {
	if p.Kind != Microsoft {
		return ""
	}
	switch p.tenant() {
	case "common", "organizations":
		return microsoftBase + "{tenantid}/v2.0"
	case "consumers":
		return microsoftBase + microsoftPersonal + "/v2.0"
	}
	return ""
}

// takes tells whether the address of more than one tenant stands for a tenant. Whoever
// signs in can put another word into the address of the page there.
func (p *Provider) takes(tenant string) bool {
	if id, err := uuid.Parse(tenant); err != nil || id.String() != tenant {
		return false
	}
	switch p.tenant() {
	case "consumers":
		return tenant == microsoftPersonal
	case "organizations":
		return tenant != microsoftPersonal
	}
	return true
}

// microsoftPerson checks the issuer, which names the tenant that signed, and believes
// only what is not for anybody to choose. An email address is whatever the tenant's
// administrators wrote, unless xms_edov says that the domain is theirs; email_verified
// may be of their making too, xms_edov never.
// Source: Microsoft identity platform, "Optional claims reference", xms_edov; "Claims
// mapping policy type", "JSON Web Token (JWT) restricted claim set".
func microsoftPerson(_ context.Context, p *Provider, who *Person, _ *authcore.ProviderTokens, _ url.Values) error {
	tenant := text(who.Claims, "tid")
	if p.anyTenant() != "" && (!p.takes(tenant) || who.Issuer != microsoftBase+tenant+"/v2.0") {
		return ErrAnswer.With(fmt.Errorf("the ID token is of issuer %q and tenant %q", who.Issuer, tenant))
	}
	who.EmailVerified = truth(who.Claims, "xms_edov") || text(who.Claims, "xms_edov") == "1"
	if p.anyTenant() != "" || tenant == microsoftPersonal {
		ofNoTenant(who)
	}
	if p.Own != nil { // which says what its roles are
		delete(who.Claims, "roles")
	}
	noOverage(who.Claims)
	return nil
}

// ofNoTenant drops what means something within the tenant that says it only, where that
// may be anybody's: everybody can have a tenant, and name people, groups and roles in
// it. A username stays where it is the address that is verified; groups stay by their
// ids, which nobody chooses.
// Source: Microsoft identity platform, "Secure applications and APIs by validating
// claims", "Validate the subject".
func ofNoTenant(who *Person) {
	if !who.EmailVerified || access.FoldAddress(who.Username) != access.FoldAddress(who.Email) {
		who.Username = ""
	}
	delete(who.Claims, "roles")
	delete(who.Claims, "wids")
	if groups, ok := who.Claims["groups"].([]any); ok {
		who.Claims["groups"] = slices.DeleteFunc(groups, func(g any) bool {
			id, _ := g.(string)
			return uuid.Validate(id) != nil
		})
	} else {
		delete(who.Claims, "groups")
	}
}

// noOverage drops claims that the token says are elsewhere, as groups are of whoever is
// in more than 200: nobody is in a group by a list that is not the whole one.
// Source: Microsoft identity platform, "ID token claims reference", "Groups overage
// claim".
func noOverage(claims map[string]any) {
	elsewhere, _ := claims["_claim_names"].(map[string]any)
	for name := range elsewhere {
		delete(claims, name)
	}
	if truth(claims, "hasgroups") {
		delete(claims, "groups")
	}
}
