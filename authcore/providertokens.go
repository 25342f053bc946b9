package authcore

import (
	"encoding/json"
	"errors"
	"time"
)

// ProviderTokens are what an outside provider issued for one person. None of them ever
// reaches a log.
type ProviderTokens struct {
	Access  Secret
	Refresh Secret // empty where the provider gives none
	ID      Secret
	Expires time.Time // of Access; zero where the provider does not say
	Scopes  []string
}

// keptTokens is how tokens are kept, sealed.
type keptTokens struct {
	Of      string   `json:"o"` // SubjectKey of the identity: those of one do not open as those of another
	Access  string   `json:"a"`
	Refresh string   `json:"r,omitempty"`
	ID      string   `json:"i,omitempty"`
	Expires int64    `json:"e,omitempty"` // Unix seconds
	Scopes  []string `json:"s,omitempty"`
}

// sealTokens encrypts the tokens of an identity; empty for none.
func (a *Accounts) sealTokens(i *Identity, t *ProviderTokens) string {
	if t == nil || t.Access == "" && t.Refresh == "" && t.ID == "" {
		return ""
	}
	kept := keptTokens{Of: SubjectKey(i.Issuer, i.Subject), Access: t.Access.Reveal(), Refresh: t.Refresh.Reveal(), ID: t.ID.Reveal(), Scopes: t.Scopes}
	if !t.Expires.IsZero() {
		kept.Expires = t.Expires.Unix()
	}
	text, _ := json.Marshal(kept) // texts and numbers always can be
	return a.TokenSealer.Seal(text)
}

var errForeignTokens = errors.New("the tokens that are kept are of another identity")

// OpenTokens gives the tokens that are kept of an identity; the zero tokens for none.
func (a *Accounts) OpenTokens(i *Identity) (*ProviderTokens, error) {
	if i.Tokens == "" {
		return new(ProviderTokens), nil
	}
	text, err := a.TokenSealer.OpenKept(i.Tokens)
	if err != nil {
		return nil, err
	}
	var kept keptTokens
	if err := json.Unmarshal(text, &kept); err != nil || kept.Of != SubjectKey(i.Issuer, i.Subject) {
		return nil, errForeignTokens
	}
	t := &ProviderTokens{Access: Secret(kept.Access), Refresh: Secret(kept.Refresh), ID: Secret(kept.ID), Scopes: kept.Scopes}
	if kept.Expires != 0 {
		t.Expires = time.Unix(kept.Expires, 0)
	}
	return t, nil
}

// after gives the tokens of a new sign-in, with the refresh token of before where it
// brought none: some providers give one at the first sign-in only.
func (t *ProviderTokens) after(before *ProviderTokens) *ProviderTokens {
	if t == nil || before == nil || t.Refresh != "" {
		return t
	}
	with := *t
	with.Refresh = before.Refresh
	return &with
}
