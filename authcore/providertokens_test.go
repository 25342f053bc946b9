package authcore

import (
	"testing"
	"time"
)

func TestProviderTokens(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	a := &Accounts{TokenSealer: NewSecretKey().NewSealer("provider tokens", func() time.Time { return now }), Now: func() time.Time { return now }}
	w := Vouched{Provider: "corp", Issuer: "https://id.example.com", Subject: "1",
		Tokens: &ProviderTokens{Access: "a", Refresh: "r", ID: "i", Expires: now.Add(time.Hour), Scopes: []string{"x", "y"}}}
	first := a.identity(nil, "user", &w)
	got, err := a.OpenTokens(&first)
	if err != nil || got.Access != "a" || got.Refresh != "r" || got.ID != "i" || !got.Expires.Equal(w.Tokens.Expires) || len(got.Scopes) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	w.Tokens = &ProviderTokens{Access: "b"}
	again := a.identity(&first, "user", &w)
	if got, err := a.OpenTokens(&again); err != nil || got.Access != "b" || got.Refresh != "r" || again.ID != first.ID {
		t.Errorf("after a sign-in without a refresh token: %+v, %v", got, err)
	}
	w.Tokens = nil
	if none := a.identity(nil, "user", &w); none.Tokens != "" {
		t.Errorf("no tokens are kept as %q", none.Tokens)
	}
	foreign := again
	foreign.Subject = "2"
	if _, err := a.OpenTokens(&foreign); err == nil {
		t.Error("the tokens of one account open as those of another")
	}
	if none, err := a.OpenTokens(&Identity{}); err != nil || none.Access != "" {
		t.Errorf("no tokens: %+v, %v", none, err)
	}
}

// Each client has its own refresh token: some providers give one at the first sign-in only,
// to each.
func TestProviderTokensOfClients(t *testing.T) {
	t.Parallel()
	a := &Accounts{TokenSealer: NewSecretKey().NewSealer("provider tokens", time.Now), Now: time.Now}
	acme, beta := IssuedTo{"acme", "client-1"}, IssuedTo{"beta", "client-2"}
	w := Vouched{Provider: "corp", Issuer: "https://id.example.com", Subject: "1"}
	var last *Identity
	for _, step := range []struct {
		what string
		in   ProviderTokens
		want Secret // refresh token then
		kept int    // of others
	}{
		{"the platform's, the first time", ProviderTokens{Access: "a", Refresh: "p1"}, "p1", 0},
		{"an organization's, the first time", ProviderTokens{Access: "b", Refresh: "o1", To: acme}, "o1", 1},
		{"again", ProviderTokens{Access: "c", To: acme}, "o1", 1},
		{"the platform's again", ProviderTokens{Access: "d"}, "p1", 1},
		{"another organization's, without", ProviderTokens{Access: "e", To: beta}, "", 2},
		{"the first one's, with a new one", ProviderTokens{Access: "f", Refresh: "o2", To: acme}, "o2", 1},
		{"another client of it", ProviderTokens{Access: "g", To: IssuedTo{"acme", "client-3"}}, "", 2},
		{"the platform's at the end", ProviderTokens{Access: "h"}, "p1", 1},
	} {
		w.Tokens = &step.in
		i := a.identity(last, "user", &w)
		got, err := a.OpenTokens(&i)
		if err != nil || got.Refresh != step.want || got.To != step.in.To || got.Access != step.in.Access || len(got.Others) != step.kept {
			t.Errorf("%s: %+v, %v", step.what, got, err)
		}
		last = &i
	}
	for n := range 2 * maxOthers {
		w.Tokens = &ProviderTokens{Refresh: "r", To: IssuedTo{Organization: string(rune('a' + n))}}
		i := a.identity(last, "user", &w)
		last = &i
	}
	if got, err := a.OpenTokens(last); err != nil || len(got.Others) != maxOthers || got.Others[0].To.Organization != string(rune('a'+2*maxOthers-2)) {
		t.Errorf("of many: %+v, %v", got, err)
	}
}
