package totp

import (
	"net/url"
	"strings"
)

// URI returns what an authenticator app reads from a QR code, in the key URI
// format of Google Authenticator:
//
//	otpauth://totp/ISSUER:ACCOUNT?secret=BASE32&issuer=ISSUER
//
// The issuer names the site and the account the user. The format does not allow
// a colon in either, so that - takes its place. Algorithm, digits and period
// are left out: they are what apps take by default, and a short URI makes a QR
// code with few modules. The URI is ASCII and holds the secret: it is not for
// logs.
func URI(issuer, account string, s Secret) string {
	issuer, account = part(issuer), part(account)
	query := "?secret=" + s.Base32()
	if issuer == "" {
		return "otpauth://totp/" + account + query
	}
	return "otpauth://totp/" + issuer + ":" + account + query + "&issuer=" + issuer
}

// part escapes all but the unreserved characters of RFC 3986. A space is %20:
// not every app reads + as one.
func part(text string) string {
	text = strings.ToValidUTF8(strings.TrimSpace(text), "\uFFFD")
	text = strings.ReplaceAll(text, ":", "-")
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}
