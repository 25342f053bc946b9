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
