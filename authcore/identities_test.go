package authcore

import (
	"testing"
	"time"
	"unicode/utf8"
)

func TestUsernameFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		who  Vouched
		try  int
		want string
	}{
		{Vouched{Username: "Alice"}, 0, "alice"},
		{Vouched{Username: "alice@example.com"}, 0, "alice"},
		{Vouched{Email: "bob.b+x@example.com"}, 0, "bob.b+x"},
		{Vouched{Name: "Zoë Müller"}, 0, "zoë.müller"},
		{Vouched{Username: "{env.HOME}"}, 0, "env.home"},
		{Vouched{Username: "--help", Email: "x@example.com"}, 0, "help"},
		{Vouched{Username: "Administrator", Email: "eve@example.com"}, 0, "eve"},
		{Vouched{Username: "root", Email: "admin@example.com"}, 0, "user"},
		{Vouched{Username: "🙂"}, 0, "user"},
		{Vouched{}, 0, "user"},
		{Vouched{Username: "alice"}, 1, "alice-2"},
		{Vouched{Username: "alice"}, 5, "alice-6"},
	} {
		if got := usernameFor(&tt.who, tt.try); got != tt.want {
			t.Errorf("%+v, try %d: %q, want %q", tt.who, tt.try, got, tt.want)
		}
	}
	if a, b := usernameFor(&Vouched{}, overtakenTries-1), usernameFor(&Vouched{}, overtakenTries-1); a == b {
		t.Errorf("the last try gives %q twice", a)
	}
}

func FuzzUsernameFor(f *testing.F) {
	f.Add("Alice", "alice@example.com", "Alice", 0)
	f.Add("\u202eadmin", "", "ﬁ", 3)
	f.Fuzz(func(t *testing.T, username, email, name string, try int) {
		got := usernameFor(&Vouched{Username: username, Email: email, Name: name}, int(uint(try)%overtakenTries))
		if err := CheckUsername(got); err != nil || !utf8.ValidString(got) {
			t.Errorf("%q, %q, %q gives %q: %v", username, email, name, got, err)
		}
	})
}

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
