package authcore

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The bounds of the addresses of a service.
const (
	MaxRedirectURIs    = 20
	maxRedirectURISize = 2000 // bytes
)

// checkRedirectURIs refuses a list of addresses that a service of a type cannot have.
func checkRedirectURIs(t ServiceType, field string, all []string) error {
	if len(all) > MaxRedirectURIs {
		return &Error{Kind: Invalid, Code: "too_many_redirect_uris", Field: field, Message: "A service can have 20 of these addresses at most."}
	}
	for i, text := range all {
		if slices.Contains(all[:i], text) {
			return badRedirect(field, "An address is there twice.")
		}
		if msg := redirectFault(t, text); msg != "" {
			return badRedirect(field, msg)
		}
	}
	return nil
}

func badRedirect(field, msg string) error {
	return &Error{Kind: Invalid, Code: "redirect_uri_invalid", Field: field, Message: msg}
}

// redirectFault says what is wrong with an address; empty for nothing. It is compared as it
// is written, so that there is no other way to write what is let through.
func redirectFault(t ServiceType, text string) string {
	if text == "" || len(text) > maxRedirectURISize {
		return "An address has 2000 bytes at most."
	}
	for _, r := range text {
		if r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r) {
			return "An address has printable characters of ASCII only; write others as %XX."
		}
	}
	if strings.ContainsAny(text, "*#") {
		return "An address has no * and no #: it is compared as it is."
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme == "":
		return "This is no address; write e.g. https://app.example.com/callback."
	case u.User != nil:
		return "An address names no user."
	case text[:len(u.Scheme)] != u.Scheme || u.Host != strings.ToLower(u.Host):
		return "Write the scheme and the host in lower-case letters."
	case slices.ContainsFunc(strings.Split(u.Path, "/"), func(part string) bool { return part == "." || part == ".." }):
		return "Write the path without . and .. in it."
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "A port is a number from 1 to 65535."
		}
	}
	switch u.Scheme {
	case "https":
		if u.Hostname() == "" || u.Opaque != "" {
			return "An address of https has a host."
		}
		return ""
	case "http":
		if u.Opaque != "" || !loopback(u.Hostname()) {
			return "An address of http is good on the loopback only: 127.0.0.1, [::1], localhost or a name that ends with .localhost."
		}
		return ""
	}
	return schemeFault(t, u)
}

// schemeFault judges an address with a scheme of an app's own (RFC 8252 section 7.1): it is
// the name of a domain in reverse, so it has a dot.
func schemeFault(t ServiceType, u *url.URL) string {
	switch {
	case !t.Native():
		return "An address begins with https://."
	case !strings.Contains(u.Scheme, "."):
		return "A scheme of an app's own is a domain in reverse, such as com.example.app:/callback."
	case u.Host != "" && u.Host != strings.ToLower(u.Host):
		return "Write the host in lower-case letters."
	}
	return ""
}

// loopback tells whether a host always means this machine (RFC 6761 section 6.3).
func loopback(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || loopbackIP(host)
}

func loopbackIP(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() && ip.Zone() == ""
}

// sameButPort tells whether two addresses of http on a loopback IP address differ in nothing
// but the port.
func sameButPort(a, b string) bool {
	bare := func(text string) (string, bool) {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" || u.Opaque != "" || u.User != nil || !loopbackIP(u.Hostname()) {
			return "", false
		}
		// Only the port goes: the rest is compared as it is written.
		host := u.Host
		before, after, ok := strings.Cut(text, host)
		if port := u.Port(); port != "" {
			host = strings.TrimSuffix(host, ":"+port)
		}
		return before + host + after, ok && before == "http://"
	}
	x, ok := bare(a)
	y, also := bare(b)
	return ok && also && x == y
}
