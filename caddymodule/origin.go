package caddymodule

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"github.com/gatehouse-auth/gatehouse/authcore/web"
)

// origin is scheme, host and port of a site, as a browser sees them.
type origin struct {
	secure bool
	host   string // lower case, without port; may begin with "*." in a site's pattern
	port   int    // 0 is the scheme's own
}

// String is the origin in the form of RFC 6454 section 6.2.
func (o origin) String() string {
	scheme, host := "http://", o.host
	if o.secure {
		scheme = "https://"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if o.port != 0 {
		host += ":" + strconv.Itoa(o.port)
	}
	return scheme + host
}

// newOrigin leaves out a port that is the scheme's own.
func newOrigin(secure bool, host string, port int) origin {
	if secure && port == 443 || !secure && port == 80 {
		port = 0
	}
	return origin{secure, strings.ToLower(host), port}
}

// with is the origin on another host.
func (o origin) with(host string) origin {
	o.host = host
	return o
}

// loopback tells whether a host name always means this machine (RFC 6761
// section 6.3, RFC 1122 section 3.2.1.3).
func loopback(host string) bool {
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return a.IsLoopback()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// matches tells whether a host is of a site's pattern. "*." stands for one label.
func matches(pattern, host string) bool {
	suffix, wild := strings.CutPrefix(pattern, "*")
	if !wild {
		return strings.EqualFold(pattern, host)
	}
	label, rest, _ := strings.Cut(host, ".")
	return label != "" && !strings.ContainsFunc(label, notInLabel) && strings.EqualFold("."+rest, suffix)
}

// notInLabel tells what no label of a host has. HTTP/2 lets anything pass in :authority,
// and a "/" in it would make another host of what is built from it.
func notInLabel(r rune) bool {
	return r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
}

// parseHost reads a host that gate_verify answers for: as parseOrigin, or with "*."
// before the domain.
func parseHost(text string) (origin, error) {
	scheme, domain, wild := strings.Cut(text, "*.")
	if !wild {
		return parseOrigin(text)
	}
	if scheme != "" && scheme != "https://" && scheme != "http://" {
		return origin{}, errors.New("\"*\" stands alone, for the first label")
	}
	o, err := parseOrigin(scheme + domain)
	return o.with("*." + o.host), err
}

// parseOrigin reads a host of ours as it is configured: its name, with or without
// port, or a URL.
func parseOrigin(s string) (origin, error) {
	bad := errors.New("it must be a host name such as auth.example.com, or a URL such as https://auth.example.com:8443")
	text := s
	if !strings.Contains(s, "://") {
		text = "https://" + s
		if loopback(web.Hostname(s)) {
			text = "http://" + s
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil ||
		u.Scheme != "http" && u.Scheme != "https" || !plausibleHost(u.Hostname()) {
		return origin{}, bad
	}
	port := 0
	if p := u.Port(); p != "" {
		if port, err = strconv.Atoi(p); err != nil || port < 1 || port > 65535 {
			return origin{}, bad
		}
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return origin{}, errors.New("plain http is for loopback hosts only, or a password would travel in the clear: write https")
	}
	return newOrigin(u.Scheme == "https", u.Hostname(), port), nil
}

// plausibleHost tells whether text is an address, or labels of letters, digits
// and dashes.
func plausibleHost(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || label[0] == '-' || strings.ContainsFunc(label, func(r rune) bool { return r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			return false
		}
	}
	return true
}

// portOf is the port of a Host header, or 0.
func portOf(hostport string) int {
	_, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(port)
	return n
}
