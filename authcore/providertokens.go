package authcore

import (
	"cmp"
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
	To      IssuedTo
	// Others are refresh tokens that were issued to other clients, the latest first: some
	// providers give one at the first sign-in only, to each client.
	Others []OtherRefresh
}

// IssuedTo says to which client of a provider tokens were issued: none other can use them.
// The zero value is the platform's.
type IssuedTo struct {
	Organization string `json:"o,omitempty"` // whose own client it is, by its slug
	Client       string `json:"c,omitempty"` // the id of that
}

// OtherRefresh is a refresh token that was issued to another client.
type OtherRefresh struct {
	To      IssuedTo
	Refresh Secret
}

// maxOthers bounds refresh tokens of other clients.
const maxOthers = 4

// keptTokens is how tokens are kept, sealed.
type keptTokens struct {
	Of      string        `json:"o"` // SubjectKey of the identity: those of one do not open as those of another
	Access  string        `json:"a"`
	Refresh string        `json:"r,omitempty"`
	ID      string        `json:"i,omitempty"`
	Expires int64         `json:"e,omitempty"` // Unix seconds
	Scopes  []string      `json:"s,omitempty"`
	To      IssuedTo      `json:"t,omitzero"`
	Others  []keptRefresh `json:"b,omitempty"`
}

type keptRefresh struct {
	To      IssuedTo `json:"t,omitzero"`
	Refresh string   `json:"r"`
}

// sealTokens encrypts the tokens of an identity; empty for none.
func (a *Accounts) sealTokens(i *Identity, t *ProviderTokens) string {
	if t == nil || t.Access == "" && t.Refresh == "" && t.ID == "" {
		return ""
	}
	kept := keptTokens{Of: SubjectKey(i.Issuer, i.Subject), Access: t.Access.Reveal(), Refresh: t.Refresh.Reveal(), ID: t.ID.Reveal(), Scopes: t.Scopes, To: t.To}
	for _, o := range t.Others {
		kept.Others = append(kept.Others, keptRefresh{o.To, o.Refresh.Reveal()})
	}
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
	t := &ProviderTokens{Access: Secret(kept.Access), Refresh: Secret(kept.Refresh), ID: Secret(kept.ID), Scopes: kept.Scopes, To: kept.To}
	for _, o := range kept.Others {
		t.Others = append(t.Others, OtherRefresh{o.To, Secret(o.Refresh)})
	}
	if kept.Expires != 0 {
		t.Expires = time.Unix(kept.Expires, 0)
	}
	return t, nil
}

// after gives the tokens of a new sign-in, with the refresh token that the same client got
// before where it brought none, and with those of other clients.
func (t *ProviderTokens) after(before *ProviderTokens) *ProviderTokens {
	if t == nil || before == nil {
		return t
	}
	with := *t
	with.Others = nil
	for _, o := range append([]OtherRefresh{{before.To, before.Refresh}}, before.Others...) {
		switch {
		case o.Refresh == "":
		case o.To == t.To:
			with.Refresh = cmp.Or(with.Refresh, o.Refresh)
		case len(with.Others) < maxOthers:
			with.Others = append(with.Others, o)
		}
	}
	return &with
}
