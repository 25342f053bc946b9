package web

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReadCookie(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		lines []string
		want  string
	}{
		{"alone", []string{"gate=abc"}, "abc"},
		{"among others", []string{"a=1; gate=abc; b=2"}, "abc"},
		{"without spaces", []string{"a=1;gate=abc;b=2"}, "abc"},
		{"on a line of its own, as HTTP/2 has them", []string{"a=1", "gate=abc", "b=2"}, "abc"},
		{"the first counts", []string{"gate=abc; gate=def", "gate=ghi"}, "abc"},
		{"quoted", []string{`gate="abc"`}, "abc"},
		{"with an equals sign", []string{"gate=a=b"}, "a=b"},
		{"empty", []string{"gate="}, ""},
		{"no value", []string{"gate; a=1"}, ""},
		{"other case", []string{"Gate=abc; GATE=abc"}, ""},
		{"longer name", []string{"gate2=abc; agate=abc; gate-flow=abc; __Host-gate=abc"}, ""},
		{"in a value", []string{`a=gate=abc; b="gate=abc"`}, ""},
		{"none", nil, ""},
		{"empty line", []string{"", ";", "; ;"}, ""},
	}
	for _, test := range tests {
		h := http.Header{}
		if test.lines != nil {
			h["Cookie"] = test.lines
		}
		if got := readCookie(h, "gate"); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestHideCookies(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		lines, want []string
	}{
		{"none", nil, nil},
		{"foreign ones stay as they are", []string{"a=1;b=2 ;  c", `d="x; y"`}, []string{"a=1;b=2 ;  c", `d="x; y"`}},
		{"alone", []string{"gate=x"}, nil},
		{"all of ours", []string{"gate=x; gate-flow=x; gate-device=x; __Host-gate=x; __Host-gate-flow=x; __Host-gate-device=x"}, nil},
		{"first", []string{"gate=x; a=1; b=2"}, []string{"a=1; b=2"}},
		{"last", []string{"a=1; b=2; __Host-gate=x"}, []string{"a=1; b=2"}},
		{"between", []string{"a=1; gate=x; b=2"}, []string{"a=1; b=2"}},
		{"several", []string{"gate=x;a=1;gate=y;gate-flow=z;b=2;gate"}, []string{"a=1; b=2"}},
		{"no value", []string{"a=1; gate; b=2"}, []string{"a=1; b=2"}},
		{"space around the name", []string{"a=1;\tgate =x; b=2"}, []string{"a=1; b=2"}},
		{"names like ours", []string{"gates=1; agate=2; gate-=3; gate_flow=4; __Host-gates=5; __Secure-gate=6"},
			[]string{"gates=1; agate=2; gate-=3; gate_flow=4; __Host-gates=5; __Secure-gate=6"}},
		{"our name in a value", []string{"a=gate; b=gate=1"}, []string{"a=gate; b=gate=1"}},
		{"a line of ours between lines", []string{"a=1", "gate=x", "b=2"}, []string{"a=1", "b=2"}},
		{"hidden in quotes", []string{`a="; gate=x"`}, []string{`a="`}},
		{"nothing between two of ours", []string{"a=1; gate=x; ;gate=y; b=2"}, []string{"a=1; b=2"}},
		{"only separators are left", []string{"; gate=x ; ;"}, nil},
	}
	for _, test := range tests {
		h := http.Header{"Other": {"gate=x"}}
		if test.lines != nil {
			h["Cookie"] = slices.Clone(test.lines)
		}
		HideCookies(h)
		want := http.Header{"Other": {"gate=x"}}
		if test.want != nil {
			want["Cookie"] = test.want
		}
		if diff := cmp.Diff(want, h); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestDropOurCookies(t *testing.T) {
	t.Parallel()
	h := http.Header{"Set-Cookie": {"a=1; Path=/", "gate=x", " gate = x; Path=/", "__Host-gate=; Max-Age=0", "gate", "gates=1", "gate-flow=x",
		"__Host-gate-device=x", "b=gate"}}
	DropCookies(h)
	if diff := cmp.Diff(http.Header{"Set-Cookie": {"a=1; Path=/", "gates=1", "b=gate"}}, h); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	h = http.Header{"Set-Cookie": {"gate=x"}}
	if DropCookies(h); len(h) != 0 {
		t.Errorf("left: %v", h)
	}
}

func TestSetCookie(t *testing.T) {
	t.Parallel()
	tests := []struct {
		secure bool
		life   time.Duration
		want   string
	}{
		{true, time.Hour, "__Host-gate=v; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"},
		{false, time.Hour, "gate=v; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"},
		{true, 0, "__Host-gate=v; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{true, -1, "__Host-gate=v; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"},
	}
	for _, test := range tests {
		w := httptest.NewRecorder()
		setCookie(w, Place{Secure: test.secure}, sessionCookie, "v", test.life)
		if diff := cmp.Diff([]string{test.want}, w.Header()["Set-Cookie"]); diff != "" {
			t.Errorf("secure %v, %s (-want +got):\n%s", test.secure, test.life, diff)
		}
	}
}

// wellFormed tells whether a Cookie header is as browsers write one (RFC 6265
// section 4.2.1).
func wellFormed(line string) bool {
	for pair := range strings.SplitSeq(line, "; ") {
		name, value, found := strings.Cut(pair, "=")
		if !found || name == "" || strings.ContainsFunc(name, func(r rune) bool {
			return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
		}) || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`",;\`, r) }) {
			return false
		}
	}
	return true
}

// Where a header is well-formed, net/http and we read the same.
func FuzzReadCookie(f *testing.F) {
	for _, seed := range []string{"gate=abc", "a=1; gate=abc; gate=def", "gate=; gate=x", "a=gate=1; b=2", "gates=1; gate=a=b", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		h := http.Header{"Cookie": {line}}
		got := readCookie(h, sessionCookie)
		if !strings.Contains(line, got) {
			t.Errorf("%q is not in %q", got, line)
		}
		if !wellFormed(line) {
			return
		}
		want := ""
		if c, err := (&http.Request{Header: h}).Cookie(sessionCookie); err == nil {
			want = c.Value
		}
		if got != want {
			t.Errorf("%q: %q, net/http reads %q", line, got, want)
		}
	})
}

// Nothing of ours is left in any header, and nothing foreign is lost or made.
func FuzzHideCookies(f *testing.F) {
	for _, seed := range []string{"gate=abc", "a=1; gate=abc; b=2", ";;gate;a", `a="; gate=x; b"`, "__Host-gate=1;__Host-gate-flow=2; x", "a; gate =1", " \tgate\t=1"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		h := http.Header{"Cookie": {one, two}}
		HideCookies(h)
		if names := ourNames(h["Cookie"]); len(names) > 0 {
			t.Errorf("%q, %q: left %q", one, two, h["Cookie"])
		}
		if readCookie(h, sessionCookie) != "" || readCookie(h, cookiePrefix+sessionCookie) != "" {
			t.Errorf("%q, %q: the token can be read from %q", one, two, h["Cookie"])
		}
		if diff := cmp.Diff(foreign([]string{one, two}), foreign(h["Cookie"])); diff != "" {
			t.Errorf("%q, %q: foreign pairs (-want +got):\n%s", one, two, diff)
		}
		if slices.Contains(h["Cookie"], "") && one != "" && two != "" {
			t.Errorf("%q, %q: an empty line is left", one, two)
		}
	})
}

// ourNames gives the names of ours that net/http reads.
func ourNames(lines []string) []string {
	var names []string
	for _, c := range (&http.Request{Header: http.Header{"Cookie": lines}}).Cookies() {
		if isOurCookie(c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// foreign gives all pairs but ours.
func foreign(lines []string) []string {
	pairs := []string{}
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			name, _, _ := strings.Cut(pair, "=")
			if pair = strings.Trim(pair, blank); pair != "" && !isOurCookie(strings.Trim(name, blank)) {
				pairs = append(pairs, pair)
			}
		}
	}
	return pairs
}
