package web

import (
	"net/http"
	"strings"
)

// endpoint serves one path; what it returns is shown by Fail.
type endpoint func(h *Handler, w http.ResponseWriter, r *http.Request, p Place) error

// route says where an endpoint is served and how.
type route struct {
	get, post endpoint
	modes     uint8 // bit set of Mode
	// foreign says that another site may POST here, because a standard has it so. The
	// endpoint believes no cookie then.
	foreign bool
	// lists are the fields of its forms that may be there several times.
	lists []string
}

const (
	onOwn    = 1 << ModeOwn
	onSite   = 1 << ModeSite
	onPortal = 1 << ModePortal
	onPages  = onOwn | onPortal // hosts with pages of their own
	onAll    = onOwn | onSite | onPortal
)

// routes is the one table of what is served under Prefix, but for what has a name in its
// path.
var routes = map[string]route{
	"login":                     {get: (*Handler).loginPage, post: (*Handler).login, modes: onAll},
	"logout":                    {get: (*Handler).logoutPage, post: (*Handler).logout, modes: onAll},
	"logout/end":                {get: (*Handler).logoutEnd, modes: onAll},
	"whoami":                    {get: (*Handler).whoami, modes: onAll},
	"callback":                  {get: (*Handler).callback, modes: onSite},
	"continue":                  {get: (*Handler).continuePage, modes: onPortal},
	"confirm":                   {get: (*Handler).confirmPage, post: (*Handler).confirm, modes: onAll},
	"register":                  {get: (*Handler).registerPage, post: (*Handler).register, modes: onPages},
	"recover":                   {get: (*Handler).recoverPage, post: (*Handler).recover, modes: onPages},
	"recover/password":          {get: (*Handler).newPasswordPage, post: (*Handler).newPassword, modes: onPages},
	"not-me":                    {get: (*Handler).disownPage, post: (*Handler).disown, modes: onPages},
	"mail":                      {get: (*Handler).mailPage, post: (*Handler).mailAsk, modes: onPages},
	"mail/code":                 {post: (*Handler).mailCode, modes: onPages},
	"mail/enter":                {get: (*Handler).mailLinkPage, post: (*Handler).mailLink, modes: onPages},
	"setup":                     {get: (*Handler).setupPage, post: (*Handler).setup, modes: onPages},
	"account":                   {get: (*Handler).accountPage, modes: onAll},
	"account/profile":           {post: (*Handler).changeProfile, modes: onPages},
	"account/verify":            {post: (*Handler).sendVerification, modes: onPages},
	"account/verify/cancel":     {post: (*Handler).cancelEmail, modes: onPages},
	"verify-email":              {get: (*Handler).verifyPage, post: (*Handler).verifyEmail, modes: onPages},
	"account/password":          {post: (*Handler).changePassword, modes: onPages},
	"account/data":              {post: (*Handler).exportData, modes: onPages},
	"account/delete":            {post: (*Handler).deleteAccount, modes: onPages},
	"keep-account":              {get: (*Handler).keepPage, post: (*Handler).keep, modes: onPages},
	"account/sessions/revoke":   {post: (*Handler).revokeSession, modes: onPages},
	"passkey":                   {get: (*Handler).passkeyOptions, post: (*Handler).passkeySignIn, modes: onPages},
	"account/passkey":           {get: (*Handler).addPasskeyPage, post: (*Handler).addPasskey, modes: onPages},
	"account/passkey/rename":    {post: (*Handler).renamePasskey, modes: onPages},
	"account/passkey/remove":    {post: (*Handler).removePasskey, modes: onPages},
	"account/password/remove":   {post: (*Handler).removePassword, modes: onPages},
	"factor":                    {post: (*Handler).factor, modes: onPages},
	"account/factor":            {get: (*Handler).enrolPage, post: (*Handler).enrol, modes: onPages},
	"account/factor/distrust":   {post: (*Handler).distrust, modes: onPages},
	"account/factor/codes":      {post: (*Handler).newCodes, modes: onPages},
	"account/factor/remove":     {post: (*Handler).removeFactor, modes: onPages},
	"account/providers/link":    {post: (*Handler).linkProvider, modes: onPages},
	"account/providers/unlink":  {post: (*Handler).unlinkProvider, modes: onPages},
	"link":                      {post: (*Handler).linkBySigningIn, modes: onPages},
	"account/tokens":            {post: (*Handler).createToken, modes: onPages},
	"account/tokens/revoke":     {post: (*Handler).revokeToken, modes: onPages},
	"admin/explain":             {get: (*Handler).explainPage, modes: onPortal},
	"account/consents/withdraw": {post: (*Handler).withdrawConsent, modes: onPages},
	"oauth/authorize":           {get: (*Handler).authorize, post: byGet(authorizePath), modes: onPortal, foreign: true, lists: []string{"resource"}},
	"oauth/consent":             {get: (*Handler).consentPage, post: (*Handler).consent, modes: onPortal},
	"oauth/device/qr":           {get: (*Handler).deviceQR, modes: onPortal},
	"oauth/end_session":         {get: (*Handler).endSession, post: byGet(endSessionPath), modes: onPortal, foreign: true},
	"oauth/end_session/confirm": {post: (*Handler).confirmEndSession, modes: onPortal},
	"device":                    {get: (*Handler).devicePage, post: (*Handler).deviceForm, modes: onPortal},
	"oauth/jwks":                {get: (*Handler).publicKeys, modes: onAll},
	"health":                    {get: (*Handler).ready, modes: onPages},
	"health/ready":              {get: (*Handler).ready, modes: onPages},
	"health/live":               {get: (*Handler).alive, modes: onPages},
}

// routeOf finds what is served at a path under Prefix.
func routeOf(path string) (route, bool) {
	if rt, ok := routes[path]; ok {
		return rt, true
	}
	if rest, ok := strings.CutPrefix(path, "connect/"); ok {
		return connectRoute(rest)
	}
	if rt, ok := consoleRoute(path); ok {
		return rt, true
	}
	if rest, ok := strings.CutPrefix(path, "api/v1/providers/"); ok {
		if name, ok := strings.CutSuffix(rest, "/token"); ok && name != "" {
			return route{get: providerToken(name), modes: onPages}, true
		}
	}
	if strings.HasPrefix(path, "assets/") {
		return route{get: (*Handler).asset, modes: onAll}, true
	}
	return route{}, false
}
