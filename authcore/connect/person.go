package connect

import (
	"encoding/json"
	"errors"
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

// Tokens are what a provider issued for one person. None of them ever reaches a log.
type Tokens struct {
	Access  authcore.Secret
	Refresh authcore.Secret // empty where the provider gives none
	ID      authcore.Secret
	Expires time.Time // of Access; zero where the provider does not say
	Scopes  []string
}

// tokensText is how tokens are kept.
type tokensText struct {
	Access  string   `json:"a"`
	Refresh string   `json:"r,omitempty"`
	ID      string   `json:"i,omitempty"`
	Expires int64    `json:"e,omitempty"` // Unix seconds
	Scopes  []string `json:"s,omitempty"`
}

// Text gives the tokens in a form to be sealed and kept.
func (t *Tokens) Text() authcore.Secret {
	kept := tokensText{Access: t.Access.Reveal(), Refresh: t.Refresh.Reveal(), ID: t.ID.Reveal(), Scopes: t.Scopes}
	if !t.Expires.IsZero() {
		kept.Expires = t.Expires.Unix()
	}
	text, _ := json.Marshal(kept) // texts and numbers always can be
	return authcore.Secret(text)
}

// ParseTokens reads what Text gave. Of nothing it makes no tokens.
func ParseTokens(text authcore.Secret) (*Tokens, error) {
	if text == "" {
		return new(Tokens), nil
	}
	var kept tokensText
	if err := json.Unmarshal([]byte(text.Reveal()), &kept); err != nil {
		return nil, errors.New("the tokens that were kept cannot be read")
	}
	t := &Tokens{Access: authcore.Secret(kept.Access), Refresh: authcore.Secret(kept.Refresh), ID: authcore.Secret(kept.ID), Scopes: kept.Scopes}
	if kept.Expires != 0 {
		t.Expires = time.Unix(kept.Expires, 0)
	}
	return t, nil
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
		head, rest, nested := strings.Cut(name, ".")
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
			all = append(all, text(map[string]any{"": one}, ""))
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
