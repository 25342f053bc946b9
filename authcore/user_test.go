package authcore

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestUsernameKey(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, username, want string
	}{
		{"lower case", "alice", "alice"},
		{"upper case", "ALICE", "alice"},
		{"space around", "  Alice\t", "alice"},
		{"full width", "ＡＬＩＣＥ１", "alice1"},
		{"composed", "Jos\u00e9", "jos\u00e9"},
		{"combining", "JOSE\u0301", "jos\u00e9"},
		{"combining in another order", "a\u0323\u0307", "\u1ea1\u0307"},
		{"and in this one", "a\u0307\u0323", "\u1ea1\u0307"},
		{"kelvin sign", "\u212Aelvin", "kelvin"},
		{"ohm sign", "\u2126", "\u03c9"},
		{"dotted capital I", "\u0130", "i\u0307"},
		{"sharp s stays", "Stra\u00dfe", "stra\u00dfe"},
		{"cyrillic", "Алиса", "алиса"},
		{"hebrew", "שלום", "שלום"},
		{"katakana, half width", "ｱﾘｽ", "アリス"},
		{"punctuation", "a.b_c-d+e", "a.b_c-d+e"},

		{"empty", "", ""},
		{"spaces only", " \t\n", ""},
		{"space inside", "alice smith", ""},
		{"no-break space", "alice\u00a0smith", ""},
		{"zero-width space", "ali\u200bce", ""},
		{"zero-width joiner", "ali\u200dce", ""},
		{"soft hyphen", "ali\u00adce", ""},
		{"right-to-left override", "\u202eecila", ""},
		{"control", "ali\x00ce", ""},
		{"line", "alice\nbob", ""},
		{"ligature", "\ufb01sh", ""},
		{"script mix that bidi forbids", "abc\u05d0", ""},
		{"not UTF-8", "ali\xffce", ""},
		{"private use", "\ue000", ""},
	}
	for _, test := range tests {
		if got := UsernameKey(test.username); got != test.want {
			t.Errorf("%s: %+q, want %+q", test.name, got, test.want)
		}
	}
}

func TestCheckUsername(t *testing.T) {
	t.Parallel()
	good := []string{"a", "alice", "Alice", "alice.b", "a_b-c+d", "007", "jos\u00e9", "jose\u0301", "Алиса", "アリス", "ＡＬＩＣＥ",
		strings.Repeat("a", 64), strings.Repeat("\u00e9", 64)}
	for _, username := range good {
		if err := CheckUsername(username); err != nil {
			t.Errorf("%+q: %v", username, err)
		}
	}
	bad := map[string]string{
		"empty": "", "too long": strings.Repeat("a", 65), "space": "alice b", "space before": " alice",
		"at": "alice@example.com", "full-width at": "alice\uff20example.com", "small at": "alice\ufe6bexample.com", "only at": "@",
		"slash": "a/b", "backslash": "a\\b", "colon": "a:b", "comma": "a,b", "semicolon": "a;b", "quote": "a\"b", "markup": "<b>",
		"equals": "a=b", "percent": "a%41", "braces": "{env.HOME}", "dollar": "$HOME", "line": "a\nb", "return": "a\rb", "tab": "a\tb",
		"NUL": "a\x00", "delete": "a\x7f", "next line": "a\u0085b", "zero-width space": "a\u200bb", "word joiner": "a\u2060b",
		"direction": "a\u202eb", "byte-order mark": "\ufeffalice", "variation selector": "a\ufe0f", "emoji": "alice😀",
		"ligature": "\ufb01sh", "long s": "\u017fam", "fraction": "\u00bd", "roman numeral": "\u2163", "not UTF-8": "a\xff",
		"surrogate": "a\xed\xa0\x80", "mark alone": "\u0301", "mixed direction": "abc\u05d0",
	}
	for name, username := range bad {
		err := CheckUsername(username)
		var e *Error
		if !errors.As(err, &e) || e.Kind != Invalid || e.Field != "username" || e.Code != "username_invalid" {
			t.Errorf("%s %+q: %v", name, username, err)
		}
	}
}

func TestLoginKey(t *testing.T) {
	t.Parallel()
	tests := []struct {
		login, key string
		isEmail    bool
	}{
		{"Alice", "alice", false},
		{" ALICE ", "alice", false},
		{"Alice@Example.COM", "alice@example.com", true},
		{" alice@example.com ", "alice@example.com", true},
		{"ａlice@example.com", "alice@example.com", true},
		{"STRASSE@example.com", "strasse@example.com", true},
		{"stra\u00dfe@example.com", "strasse@example.com", true}, // case folding, as the address was kept
		{"jose\u0301@example.com", "jos\u00e9@example.com", true},
		{"@", "@", true},
		{"", "", false},
	}
	for _, test := range tests {
		key, isEmail := LoginKey(test.login)
		if key != test.key || isEmail != test.isEmail {
			t.Errorf("%+q: %+q, %v, want %+q, %v", test.login, key, isEmail, test.key, test.isEmail)
		}
	}
	// What no database takes as text is nobody's.
	for _, login := range []string{"a\x00@example.com", "a\xff@example.com", "alice\x00", "\xff", "\xed\xa0\x80@example.com"} {
		if key, _ := LoginKey(login); key != "" {
			t.Errorf("%+q is looked up as %+q", login, key)
		}
	}
	// What folds to the sign is no way around it: no username has one.
	for _, login := range []string{"alice\uff20example.com", "alice\ufe6bexample.com"} {
		if key, isEmail := LoginKey(login); !isEmail && key != "" && CheckUsername(key) == nil {
			t.Errorf("%+q is looked up as the username %+q", login, key)
		}
	}
}

func TestCheckEmail(t *testing.T) {
	t.Parallel()
	good := []string{"", "a@b.c", "alice@example.com", "Alice.B+tag@Mail.Example.com", "o'brien@example.com", "jos\u00e9@example.com",
		"alice@xn--bcher-kva.example", strings.Repeat("a", 64) + "@example.com"}
	for _, email := range good {
		if err := CheckEmail(email); err != nil {
			t.Errorf("%+q: %v", email, err)
		}
	}
	bad := map[string]string{
		"no at": "alice", "no local part": "@example.com", "no domain": "alice@", "two": "a@example.com,b@example.com",
		"with a name": "Alice <alice@example.com>", "in brackets": "<alice@example.com>", "quoted": `"a b"@example.com`,
		"space before": " alice@example.com", "space inside": "al ice@example.com", "line": "alice@example.com\nBcc: bob@example.net",
		"return": "alice@example.com\r", "NUL": "a\x00@example.com", "direction": "\u202ealice@example.com", "dots": "a..b@example.com",
		"dot at the end": "alice.@example.com", "comment": "alice(x)@example.com", "not UTF-8": "a\xff@example.com",
		"too long": strings.Repeat("a", 250) + "@example.com", "longer when folded": strings.Repeat("\ufdfa", 20) + "@example.com", "two ats": "alice@evil.example@example.com",
		"another domain when folded": "alice@wa\u00dfer.example", "final sigma": "\u03b1\u03c2@example.com", "full width": "\uff41lice@example.com", "an IP address": "alice@[192.0.2.1]",
		"full-width at": "alice\uff20evil.example@example.com",
	}
	for name, email := range bad {
		err := CheckEmail(email)
		var e *Error
		if !errors.As(err, &e) || e.Kind != Invalid || e.Field != "email" {
			t.Errorf("%s %+q: %v", name, email, err)
		}
	}
}

func TestEmailDomain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		email    string
		verified bool
		want     string
	}{
		{"alice@Example.COM", true, "example.com"},
		{"alice@Example.COM", false, ""},
		{"", true, ""},
		{"alice@\uff45xample.com", true, "example.com"},
	}
	for _, test := range tests {
		u := User{Email: test.email, EmailVerified: test.verified}
		if got := u.EmailDomain(); got != test.want {
			t.Errorf("%+q, verified %v: %q, want %q", test.email, test.verified, got, test.want)
		}
	}
}

func TestCheckNameAndGroup(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "Alice", "Alice B. Example", "O'Brien", "{env.HOME}", "<b>Alice</b>", "Алиса", "王小明", strings.Repeat("é", 128)} {
		if err := CheckName(name); err != nil {
			t.Errorf("name %+q: %v", name, err)
		}
	}
	for _, name := range []string{strings.Repeat("a", 129), "a\nb", "a\x00", "a\r", "a\x1b[31m", "\u202eecilA", "a\xff"} {
		var e *Error
		if err := CheckName(name); !errors.As(err, &e) || e.Field != "name" {
			t.Errorf("name %+q: %v", name, err)
		}
	}
	for _, group := range []string{"staff", "acme/eng", "github:acme/eng", "a-b_c.d", "group@example.com", "мастера", strings.Repeat("a", 64)} {
		if err := CheckGroup(group); err != nil {
			t.Errorf("group %+q: %v", group, err)
		}
	}
	for _, group := range []string{"", "Staff", "a,b", "a b", "a|b", "a;b", "a\nb", "a\"b", "a=b", strings.Repeat("a", 65), "a\u0301", "a\xff"} {
		var e *Error
		if err := CheckGroup(group); !errors.As(err, &e) || e.Field != "group" {
			t.Errorf("group %+q: %v", group, err)
		}
	}
}

func TestNewUser(t *testing.T) {
	t.Parallel()
	now := time.UnixMicro(1).UTC()
	got, err := NewUser{Username: " Alice ", Email: " Alice@example.com ", Name: " Alice B. ", Groups: []string{"b", "a", "b"}, Owner: true,
		EmailVerified: true}.user(now)
	if err != nil {
		t.Fatal(err)
	}
	want := User{ID: got.ID, Username: "Alice", Email: "Alice@example.com", EmailVerified: true, Name: "Alice B.", Status: Active, Owner: true,
		Groups: []string{"a", "b"}, CreatedAt: now, UpdatedAt: now}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err = (NewUser{Username: "bob", EmailVerified: true}).user(now); err != nil || got.EmailVerified || got.DisplayName() != "bob" {
		t.Errorf("without an address: %+v, %v", got, err)
	}
	for _, n := range []NewUser{{}, {Username: "a b"}, {Username: "a", Email: "x"}, {Username: "a", Name: "b\nc"}, {Username: "a", Groups: []string{""}}} {
		if _, err := n.user(now); err == nil {
			t.Errorf("%+v: accepted", n)
		}
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		max  int
		want string
	}{
		{"Firefox", 256, "Firefox"},
		{"abcdef", 3, "abc"},
		{"abécd", 3, "ab"}, // not half a character
		{"a€", 3, "a"},
		{"a😀", 4, "a"},
		{"line\nforged", 256, "line\uFFFDforged"},
		{"\x1b[31mred\u202e", 256, "\uFFFD[31mred\uFFFD"},
		{"a\xff\xfeb", 256, "a\uFFFDb"},
		{"", 256, ""},
	}
	for _, test := range tests {
		if got := clean(test.text, test.max); got != test.want {
			t.Errorf("%+q in %d: %+q, want %+q", test.text, test.max, got, test.want)
		}
	}
}

func FuzzUsername(f *testing.F) {
	for _, seed := range []string{"alice", "ALICE", "Jose\u0301", "\u0130", "ＡＢＣ", "ς", "ΑΣ", "ǅ", "ﬁ", "\u0345a", "שלום", "a@b", "\uff20", "{x}", "ﬖ", "ͺ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key := UsernameKey(text)
		if again := UsernameKey(key); again != key {
			t.Errorf("the key of %+q is %+q, and the key of that %+q", text, key, again)
		}
		if !utf8.ValidString(key) || hasControl(key) || strings.TrimSpace(key) != key {
			t.Errorf("the key of %+q is %+q", text, key)
		}
		if CheckUsername(text) != nil {
			return
		}
		if key == "" || strings.Contains(key, "@") || utf8.RuneCountInString(key) > 255 {
			t.Errorf("%+q is allowed, with the key %+q", text, key)
		}
		if got, isEmail := LoginKey(text); isEmail || got != key {
			t.Errorf("%+q signs in as %+q, its key is %+q", text, got, key)
		}
		if got, isEmail := LoginKey(strings.ToUpper(key)); isEmail || got == "" {
			t.Errorf("%+q in capitals is %+q", key, got)
		}
	})
}

func FuzzEmail(f *testing.F) {
	for _, seed := range []string{"alice@example.com", "ALICE@EXAMPLE.COM", "jose\u0301@example.com", "a\uff20b@example.com", "ß@example.com", "İ@example.com", "a@[::1]", "\u00df\u0301@example.com", "\u00b4@example.com", "\uff1c@example.com"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" || CheckEmail(text) != nil {
			return
		}
		key := EmailKey(text)
		if again := EmailKey(key); again != key {
			t.Errorf("the key of %+q is %+q, and the key of that %+q", text, key, again)
		}
		if got, isEmail := LoginKey(text); !isEmail || got != key {
			t.Errorf("%+q signs in as %+q (%v), its key is %+q", text, got, isEmail, key)
		}
		if strings.Count(key, "@") != 1 || hasControl(key) || strings.ContainsAny(key, "\r\n ,;<>\"") {
			t.Errorf("the key of %+q is %+q", text, key)
		}
	})
}
