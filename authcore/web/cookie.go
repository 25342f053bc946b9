package web

import (
	"net/http"
	"strings"
	"time"
)

// The names of our cookies. With the prefix (RFC 6265bis section 4.1.3.2) a
// browser takes them from this host over HTTPS only; on plain-HTTP loopback
// hosts, where no browser would take the prefix, the bare names are used.
const (
	cookiePrefix  = "__Host-"
	sessionCookie = "gate"
	flowCookie    = "gate-flow"
	deviceCookie  = "gate-device"
	trustCookie   = "gate-trust"
)

// blank is the space that servers trim around the names and values of cookies.
const blank = " \t\r\n"

// cookieName is the name of a cookie of ours on this connection.
func cookieName(name string, secure bool) string {
	if !secure {
		return name
	}
	switch name { // constants, so that the request path does not concatenate
	case sessionCookie:
		return cookiePrefix + sessionCookie
	case flowCookie:
		return cookiePrefix + flowCookie
	}
	return cookiePrefix + name
}

// isOurCookie tells whether a cookie name is one of ours, in either form.
func isOurCookie(name string) bool {
	switch strings.TrimPrefix(name, cookiePrefix) {
	case sessionCookie, flowCookie, deviceCookie, trustCookie:
		return true
	}
	return false
}

// readCookie finds a cookie in the Cookie headers without allocating. The first
// of that name counts.
func readCookie(h http.Header, name string) string {
	for _, line := range h["Cookie"] {
		for at := 0; at < len(line); {
			for at < len(line) && isBlank(line[at]) {
				at++
			}
			end := strings.IndexByte(line[at:], ';')
			if end < 0 {
				end = len(line) - at
			}
			pair := line[at : at+end]
			if len(pair) > len(name) && pair[len(name)] == '=' && pair[:len(name)] == name {
				value := pair[len(name)+1:]
				if n := len(value); n > 0 && (value[0] == '"' || isBlank(value[n-1]) || isBlank(value[0])) {
					value = strings.Trim(value, "\""+blank)
				}
				return value
			}
			at += end + 1
		}
	}
	return ""
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// HideCookies takes our cookies out of the Cookie headers, so that no upstream
// ever sees one. It allocates only where one of ours stands between others.
func HideCookies(h http.Header) {
	lines := h["Cookie"]
	kept := lines[:0]
	for _, line := range lines {
		if !strings.Contains(line, sessionCookie) {
			kept = append(kept, line)
		} else if line = withoutOurs(line); line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 && lines != nil {
		delete(h, "Cookie")
	} else if len(kept) < len(lines) {
		h["Cookie"] = kept
	}
}

// withoutOurs keeps the longest runs of foreign pairs as they are.
func withoutOurs(line string) string {
	result, joined := "", false
	start, end := -1, 0 // the run of foreign pairs under way
	flush := func() {
		if start < 0 {
			return
		}
		run := strings.Trim(line[start:end], blank+";")
		if run != "" && joined {
			result += "; " + run
		} else if run != "" {
			result, joined = run, true
		}
		start = -1
	}
	for at := 0; at < len(line); {
		next := strings.IndexByte(line[at:], ';')
		if next < 0 {
			next = len(line)
		} else {
			next += at
		}
		key, _, _ := strings.Cut(line[at:next], "=")
		if isOurCookie(strings.Trim(key, blank)) {
			flush()
		} else if start < 0 {
			start = at
		}
		end, at = next, next+1
	}
	flush()
	return result
}

// setCookie sets a cookie of ours on this host; life 0 is until the browser
// ends, less removes it.
func setCookie(w http.ResponseWriter, p Place, name, value string, life time.Duration) {
	c := &http.Cookie{Name: cookieName(name, p.Secure), Value: value, Path: "/", HttpOnly: true,
		Secure: p.Secure, SameSite: http.SameSiteLaxMode, MaxAge: int(life.Seconds())}
	if life < 0 {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// DropCookies takes cookies with our names out of an upstream's answer: an app
// must not sign its visitors in as somebody, or out.
func DropCookies(h http.Header) {
	lines := h["Set-Cookie"]
	if lines == nil {
		return
	}
	kept := lines[:0]
	for _, line := range lines {
		// Browsers send "=gate=x" back as "gate=x".
		name, _, _ := strings.Cut(strings.TrimLeft(line, "="+blank), "=")
		name, _, _ = strings.Cut(name, ";")
		if !isOurCookie(strings.Trim(name, blank)) {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Set-Cookie")
	} else {
		h["Set-Cookie"] = kept
	}
}
