package connect

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Person is somebody as a provider tells of them. Issuer and Subject say who it is;
// everything else may change.
type Person struct {
	Issuer, Subject string
	Username        string // what they are called there; not unique elsewhere
	Name            string
	Email           string
	EmailVerified   bool      // the provider says that the address is theirs
	SessionID       string    // of the session there, for sign-out (sid)
	AuthTime        time.Time // when they last proved there who they are; zero where it does not say
	SecondFactor    bool      // it says that they did so with two factors (amr)
	// Claims are all that the provider says: those of the ID token, with those of the
	// UserInfo endpoint besides.
	Claims map[string]any
	// Member are terms that hold for the person by what the provider's API says, such
	// as "github:acme/eng".
	Member []string
}

// Vouched is what a provider says of a person, for the accounts. What a client says of people
// whose owner may have it say anything is believed as far as the person goes: it gives no
// groups of the installation and no second factor.
func (p *Provider) Vouched(who *Person, t *authcore.ProviderTokens) authcore.Vouched {
	return authcore.Vouched{Provider: p.Name, Organization: p.IssuedTo().Organization, Issuer: who.Issuer, Subject: who.Subject, Username: who.Username, Name: who.Name,
		Email: who.Email, EmailVerified: who.EmailVerified, Session: who.SessionID, AuthTime: who.AuthTime,
		MustRenew:    p.RecheckEvery > 0 && slices.Contains(p.Scopes, "offline_access"),
		SecondFactor: who.SecondFactor && p.TrustMFA && p.Own == nil, Groups: p.ownGroups(who), Tokens: t}
}

// ownGroups are the groups that the platform's client gives.
func (p *Provider) ownGroups(who *Person) []string {
	if p.Own != nil {
		return nil
	}
	return p.groups(who)
}

// text gives a claim that is a text, or a number as a text.
func text(claims map[string]any, name string) string {
	switch v := claims[name].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// truth gives a claim that is a boolean; Apple writes it as a text.
func truth(claims map[string]any, name string) bool {
	switch v := claims[name].(type) {
	case bool:
		return v
	case string:
		return strings.EqualFold(v, "true")
	}
	return false
}

// values gives a claim's values as texts: those of a list, or the one that it is.
// Nested claims are named with dots, as in realm_access.roles.
func values(claims map[string]any, name string) []string {
	v, found := claims[name]
	for inner := claims; !found; {
		head, rest, _ := strings.Cut(name, ".")
		var nested bool
		if inner, nested = inner[head].(map[string]any); !nested {
			return nil
		}
		v, found = inner[rest]
		name = rest
	}
	switch v := v.(type) {
	case []any:
		var all []string
		for _, one := range v {
			if value := text(map[string]any{"": one}, ""); value != "" {
				all = append(all, value)
			}
		}
		return all
	case bool:
		if v {
			return []string{"true"}
		}
		return []string{"false"}
	case string, json.Number:
		return []string{text(map[string]any{"": v}, "")}
	}
	return nil
}

// decode reads claims with numbers as they are written.
func decode(claims func(any) error, into *map[string]any) error {
	var raw json.RawMessage
	if err := claims(&raw); err != nil {
		return err
	}
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return err
	}
	if *into == nil {
		return errors.New("the claims are no object")
	}
	return nil
}
