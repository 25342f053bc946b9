package web

import (
	"encoding/base64"
	"net/http"
	"slices"
	"testing"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func TestCredentials(t *testing.T) {
	t.Parallel()
	secret, _ := authcore.MakeAccessToken()
	token := secret.Reveal()
	basic := func(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }
	for name, tt := range map[string]struct {
		lines, left []string
		want        string
	}{
		"none":               {},
		"bearer":             {lines: []string{"Bearer " + token}, want: token},
		"other case":         {lines: []string{"bEARER   " + token + " "}, want: token},
		"basic":              {lines: []string{basic("alice:" + token)}, want: token},
		"basic without name": {lines: []string{basic(":" + token)}, want: token},
		"as username":        {lines: []string{basic(token + ":")}, left: []string{basic(token + ":")}},
		"somebody else's":    {lines: []string{"Bearer abc", basic("a:b"), "Digest x"}, left: []string{"Bearer abc", basic("a:b"), "Digest x"}},
		"among others":       {lines: []string{basic("a:b"), "Bearer " + token}, left: []string{basic("a:b")}, want: token},
		"no scheme":          {lines: []string{token}, left: []string{token}},
		"cut short":          {lines: []string{"Bearer " + token[:53]}, left: []string{"Bearer " + token[:53]}},
		"no base64":          {lines: []string{"Basic " + token}, left: []string{"Basic " + token}},
		"empty":              {lines: []string{""}, left: []string{""}},
	} {
		h := http.Header{}
		if tt.lines != nil {
			h["Authorization"] = slices.Clone(tt.lines)
		}
		if got := CredentialsOf(h, true).Access; got != tt.want {
			t.Errorf("%s: %q", name, got)
		}
		if HideAccessTokens(h); !slices.Equal(h["Authorization"], tt.left) {
			t.Errorf("%s: left %q", name, h["Authorization"])
		}
	}
}

func FuzzAccessToken(f *testing.F) {
	secret, _ := authcore.MakeAccessToken()
	f.Add("Bearer " + secret.Reveal())
	f.Add("Basic " + base64.StdEncoding.EncodeToString([]byte("a:"+secret.Reveal())))
	f.Fuzz(func(t *testing.T, line string) {
		h := http.Header{"Authorization": {line}}
		got := CredentialsOf(h, true).Access
		if got != "" && !authcore.PlausibleAccessToken(got) {
			t.Errorf("%q", got)
		}
		if HideAccessTokens(h); CredentialsOf(h, true).Access != "" {
			t.Error("still there")
		}
	})
}
