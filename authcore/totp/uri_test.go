package totp

import (
	"net/url"
	"strings"
	"testing"
)

// oddNames are names that a careless URI would break on; what an app is to show
// is the same but for what plainName says.
var oddNames = []string{
	"alice", "alice@example.com", "Corner Shop", "a+b@example.com", "100% & more", "R&D/ops?x=1&secret=AAAA#top", "a=b;c,d", "%3A", "%41", "%zz",
	"https://auth.example.com:8443/x", "::", "Bücherstube", "花見 月夜", "שלום", "👩\u200d💻", "e\u0301", `"><script>alert(1)</script>`, "a\nb\x00c", "..", "../..", "//evil.example.net", "~-_.", "\xff\xfe", " space around ",
}

func plainName(name string) string {
	return strings.TrimSpace(strings.ReplaceAll(strings.ToValidUTF8(name, "\uFFFD"), ":", "-"))
}

func TestURI(t *testing.T) {
	t.Parallel()
	tests := []struct{ issuer, account, want string }{
		{"Example", "alice@example.com", "otpauth://totp/Example:alice%40example.com?secret=" + knownText + "&issuer=Example"},
		{"Corner Shop", "alice", "otpauth://totp/Corner%20Shop:alice?secret=" + knownText + "&issuer=Corner%20Shop"},
		{"localhost:8443", "a:b", "otpauth://totp/localhost-8443:a-b?secret=" + knownText + "&issuer=localhost-8443"},
		{"R&D 100%/?+", "ü", "otpauth://totp/R%26D%20100%25%2F%3F%2B:%C3%BC?secret=" + knownText + "&issuer=R%26D%20100%25%2F%3F%2B"},
		{"", "alice", "otpauth://totp/alice?secret=" + knownText},
		{" ", " alice ", "otpauth://totp/alice?secret=" + knownText},
	}
	for _, tt := range tests {
		if got := URI(tt.issuer, tt.account, known); got != tt.want {
			t.Errorf("%q, %q:\n got %s\nwant %s", tt.issuer, tt.account, got, tt.want)
		}
	}
}

// Whatever the names are, an app finds in the URI what was put into it.
func TestURIReadsBack(t *testing.T) {
	t.Parallel()
	for _, issuer := range oddNames {
		for _, account := range oddNames {
			text := URI(issuer, account, known)
			u, err := url.Parse(text)
			if err != nil {
				t.Errorf("%q, %q: %v", issuer, account, err)
				continue
			}
			query, err := url.ParseQuery(u.RawQuery)
			if err != nil || len(query) != 2 || len(query["secret"]) != 1 || len(query["issuer"]) != 1 {
				t.Errorf("%s: the parameters are %v, %v", text, query, err)
			}
			if u.Scheme != "otpauth" || u.Host != "totp" || u.Fragment != "" || query.Get("secret") != knownText || query.Get("issuer") != plainName(issuer) {
				t.Errorf("read as %+v: %s", u, text)
			}
			if want := "/" + plainName(issuer) + ":" + plainName(account); u.Path != want {
				t.Errorf("the label is %q, want %q", u.Path, want)
			}
			if strings.Count(text, ":") != 2 || strings.Contains(text, "%3A") || strings.Count(text, "/") != 3 {
				t.Errorf("a simple parser would read it otherwise: %s", text)
			}
		}
	}
}
