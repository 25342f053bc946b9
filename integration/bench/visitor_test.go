package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// fakeGate answers like a gate, or like a faulty one.
type fakeGate struct {
	starting  int  // so many sign-ins are answered with 503 first
	noCookie  bool // sign-in gives no cookie
	open      bool // lets everybody pass
	anonymous bool // does not tell the app who is there
	leaky     bool // passes the session cookie on
}

func (g *fakeGate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := r.Cookie(cookieName)
	signedIn := err == nil && c.Value == "token"
	switch {
	case r.URL.Path == "/.gate/login":
		g.signIn(w, r)
	case !signedIn && !g.open:
		w.WriteHeader(http.StatusUnauthorized)
	case r.URL.Path == echoPath:
		if !g.anonymous {
			fmt.Fprint(w, "remote-user: alice\r\n")
		}
		if g.leaky {
			fmt.Fprint(w, "Cookie: gate=token\r\n")
		}
	default:
		fmt.Fprint(w, upstreamBody)
	}
}

func (g *fakeGate) signIn(w http.ResponseWriter, r *http.Request) {
	if g.starting > 0 {
		g.starting--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	good := r.Method == http.MethodPost && r.Header.Get("Origin") == "http://"+r.Host &&
		r.Header.Get("Sec-Fetch-Site") == "same-origin" &&
		r.FormValue("username") == userName && r.FormValue("password") == userPassword
	if !good {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if !g.noCookie {
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: "token", HttpOnly: true, Path: "/"})
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func TestSignInAndCheck(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		gate fakeGate
		want string // part of the error; empty: none
	}{
		{"good", fakeGate{}, ""},
		{"ready later", fakeGate{starting: 2}, ""},
		{"no cookie", fakeGate{noCookie: true}, "without a cookie"},
		{"open", fakeGate{open: true}, "expected 401"},
		{"anonymous", fakeGate{anonymous: true}, "Remote-User"},
		{"leaky", fakeGate{leaky: true}, "cookie reached the app"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(&tt.gate)
			defer srv.Close()
			v := visitor{addr: srv.Listener.Addr().String(), authority: "localhost:1"}
			cookie, err := v.signIn(t.Context())
			if err == nil {
				v.credential = "Cookie: " + cookie
				err = v.check(t.Context(), gated, proxySite)
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestUpstreamEcho(t *testing.T) {
	t.Parallel()
	v := visitor{addr: serveApp(t), authority: "localhost", credential: "X-Test: seen"}
	_, head, err := v.get(t.Context(), echoPath, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := headerLine(head, "x-test"); got != "seen" {
		t.Errorf("the upstream saw %q; its head was %q", got, head)
	}
}

func TestUpstreamRefusesOtherMethods(t *testing.T) {
	t.Parallel()
	v := visitor{addr: serveApp(t), authority: "localhost"}
	resp, err := v.post(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("POST answered %s, want 400", resp.Status)
	}
}
