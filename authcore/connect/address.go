package connect

import "net/url"

// base is the path under which providers find us on a host with pages.
const base = "/.gate/connect/"

// Redirect is the address to which a provider sends browsers back, whoever's client it is
// that sent them there.
func Redirect(origin, provider string) string {
	return origin + base + url.PathEscape(provider) + "/callback"
}

// BackChannelLogout is the address at which a provider tells of sign-outs: for the client of
// an organization, by its slug, or for the platform's where that is empty.
func BackChannelLogout(origin, provider, organization string) string {
	address := origin + base + url.PathEscape(provider) + "/backchannel-logout"
	if organization != "" {
		address += "?" + url.Values{"organization": {organization}}.Encode()
	}
	return address
}
