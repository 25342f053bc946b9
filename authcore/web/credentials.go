package web

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/oidcop"
)

// Credentials are what a request carries to say whose it is. All may be empty.
type Credentials struct {
	Session string // of our cookie
	Access  string // an access token; where there is one, the session does not count
	// Issued is what may be an access token of the provider, or one of somebody else's that
	// is none of our business. It counts like an access token, but only where those are
	// accepted.
	Issued string
}

// CredentialsOf reads the credentials of a request. An access token comes as Bearer
// (RFC 6750 section 2.1), or for old clients as the password of Basic (RFC 7617)
// with any username. Only what is written like one counts.
func CredentialsOf(h http.Header, secure bool) Credentials {
	c := Credentials{Session: SessionToken(h, secure)}
	for _, line := range h["Authorization"] {
		if c.Access = accessToken(line); c.Access != "" {
			break
		}
		if c.Issued == "" {
			c.Issued = issuedToken(line)
		}
	}
	return c
}

// issuedToken gives what may be an access token of the provider in an Authorization header,
// or nothing.
func issuedToken(line string) string {
	scheme, rest, _ := strings.Cut(line, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	if rest = strings.Trim(rest, " \t"); !oidcop.WrittenLikeToken(rest) {
		return ""
	}
	return rest
}

// HideAccessTokens takes access tokens out of the Authorization headers, wherever
// they are good, so that no upstream ever sees one.
func HideAccessTokens(h http.Header) {
	lines := h["Authorization"]
	kept := lines[:0]
	for _, line := range lines {
		if accessToken(line) == "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 && lines != nil {
		delete(h, "Authorization")
	} else if len(kept) < len(lines) {
		h["Authorization"] = kept
	}
}

// maxBasic is the longest Basic that is looked at, in bytes: a username may be long.
const maxBasic = 1024

// accessToken gives the access token in an Authorization header, or nothing.
func accessToken(line string) string {
	scheme, rest, _ := strings.Cut(line, " ")
	rest = strings.Trim(rest, " \t")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
	case strings.EqualFold(scheme, "Basic") && len(rest) <= maxBasic:
		pair, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return ""
		}
		_, rest, _ = strings.Cut(string(pair), ":")
	default:
		return ""
	}
	if !authcore.PlausibleAccessToken(rest) {
		return ""
	}
	return rest
}
