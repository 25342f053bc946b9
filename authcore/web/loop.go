package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// A browser that comes back from the portal without a session is sent there again,
// and the portal, where it is signed in, sends it back: for ever, without a word.
// So the flow cookie counts how often a hand-off worked in a row; the third redirect
// in a short time is a page that says what is likely to be wrong.
const (
	loopLimit = 2
	loopTime  = time.Minute
)

// arrivals is what the flow cookie says besides its token: how many hand-offs worked
// lately, and when the last of them did.
type arrivals struct {
	count int
	last  time.Time
}

// splitFlowCookie takes token and count apart. The count is the browser's own, and
// spoils nothing but its own way.
func splitFlowCookie(value string) (token string, a arrivals) {
	token, rest, counted := strings.Cut(value, ".")
	if !counted {
		return token, a
	}
	count, at, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(count)
	seconds, err2 := strconv.ParseInt(at, 10, 64)
	if err != nil || err2 != nil || n < 0 {
		return token, a
	}
	return token, arrivals{n, time.Unix(seconds, 0)}
}

// recent tells how many hand-offs worked lately.
func (a arrivals) recent(now time.Time) int {
	if now.Sub(a.last).Abs() > loopTime {
		return 0
	}
	return a.count
}

// arrived counts a hand-off that worked.
func (h *Handler) arrived(w http.ResponseWriter, r *http.Request, p Place, token string) {
	_, before := splitFlowCookie(readCookie(r.Header, cookieName(flowCookie, p.Secure)))
	now := h.Accounts.Now()
	setCookie(w, p, flowCookie, token+"."+strconv.Itoa(before.recent(now)+1)+"."+strconv.FormatInt(now.Unix(), 10), flowLife)
}

// circles answers a browser that goes in circles, and tells whether it did. The
// next try begins anew.
func (h *Handler) circles(w http.ResponseWriter, r *http.Request, p Place) bool {
	token, a := splitFlowCookie(readCookie(r.Header, cookieName(flowCookie, p.Secure)))
	if p.Mode != ModeSite || a.recent(h.Accounts.Now()) < loopLimit || !Navigation(r) {
		return false
	}
	h.Log.Warn("a browser goes in circles between this host and the portal", "host", p.Host, "session_cookie", sessionCookieState(r, p),
		"request_id", p.Client.RequestID)
	if !p.SignInHere { // else cookies of this answer may not reach the browser
		setCookie(w, p, flowCookie, token, flowLife)
	}
	h.Fail(w, r, p, nil, circle(sessionCookieState(r, p)))
	return true
}

func sessionCookieState(r *http.Request, p Place) string {
	switch token := SessionToken(r.Header, p.Secure); {
	case token == "":
		return "missing"
	case !authcore.PlausibleToken(token):
		return "damaged"
	}
	return "unknown"
}

// circle is the error for a browser in a circle.
func circle(cookie string) error {
	why := "The browser does not send the cookie of this sign-in back. Allow cookies for this site; if a proxy stands in front, it must pass on every Set-Cookie of /.gate/ and the Cookie header."
	if cookie != "missing" {
		why = "The cookie arrives, but its session is not known here. Likely causes: the proxy changes the Host header, several servers do not share one database, or the server's clock is wrong. Running \"caddy gate doctor\" on the server tells more."
	}
	return &httpError{status: http.StatusForbidden, code: "sign_in_loop", message: "Signing in worked, and yet this page asks for it again, so we stopped. " + why}
}
