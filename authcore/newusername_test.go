package authcore

import (
	"testing"
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
		{Vouched{Username: "ａｄｍｉｎ"}, 0, "user"},
		{Vouched{Username: "ｒｏｏｔ", Email: "eve@example.com"}, 0, "eve"},
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
	f.Add("\u071e", "", "", overtakenTries-1)
	f.Add("\u202eadmin", "", "ﬁ", 3)
	f.Fuzz(func(t *testing.T, username, email, name string, try int) {
		got := usernameFor(&Vouched{Username: username, Email: email, Name: name}, int(uint(try)%overtakenTries))
		if err := CheckUsername(got); err != nil || !utf8.ValidString(got) {
			t.Errorf("%q, %q, %q gives %q: %v", username, email, name, got, err)
		}
	})
}
