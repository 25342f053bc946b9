package web

import (
	"cmp"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strconv"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// loginData is the Data of the sign-in page.
type loginData struct {
	way
	passkeyForm
	Username, Organization         string // Organization is that of the app, by its name
	CanRegister, Busy, PasswordOff bool
	CanRecover, ByMail             bool
	RetryAfter                     int
	Providers                      []providerButton
}

func (h *Handler) loginData(w http.ResponseWriter, r *http.Request, p Place, form url.Values) (loginData, error) {
	on := h.wayOf(p, form)
	organization, err := h.nameOf(r, on.organization)
	if err != nil {
		return loginData{}, err
	}
	ask, err := h.askPasskey(w, r, p, "")
	return loginData{way: on, Organization: organization, passkeyForm: ask, Username: cmp.Or(form.Get("username"), on.login), CanRegister: h.Accounts.Register == authcore.RegisterOpen && (!h.Accounts.PasswordOff || ask.Passkey != nil),
		PasswordOff: h.Accounts.PasswordOff, CanRecover: h.Accounts.CanRecover(), ByMail: h.Accounts.CanSignInByMail(), Providers: h.buttons(on.query())}, err
}

// nameOf is what an organization is called, by its slug; empty for none.
func (h *Handler) nameOf(r *http.Request, slug string) (string, error) {
	if slug == "" {
		return "", nil
	}
	o, err := h.Accounts.Store.OrganizationBySlug(r.Context(), slug)
	if errors.Is(err, authcore.ErrOrganizationNotFound) {
		return "", nil
	}
	return o.Name, err
}

// loginPage shows the sign-in form; somebody who is signed in already goes on to
// where the flow leads.
func (h *Handler) loginPage(w http.ResponseWriter, r *http.Request, p Place) error {
	if p.Mode == ModeSite {
		if !h.circles(w, r, p) {
			redirect(w, h.SignInURL(w, r, p, localPath(r.URL.Query().Get("return_to"))))
		}
		return nil
	}
	live, err := h.live(r, p)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	if live != nil && Navigation(r) { // an image on another site is no visit
		to, err := h.onward(r, p, live, q.Get("flow"), q.Get("return_to"))
		if err != nil {
			return err
		}
		redirect(w, to)
		return nil
	}
	data, err := h.loginData(w, r, p, q)
	if err != nil {
		return err
	}
	v := View{Data: data, Notice: loginNotices[q.Get("notice")]}
	if closed, err := h.Accounts.Store.SetupClosed(r.Context()); err == nil && !closed {
		v.Notice = "There is no owner yet. Open the setup link in the server's log to create one."
	}
	return h.show(w, r, p, http.StatusOK, "login", v)
}

// loginNotices are what the sign-in page says to somebody who was sent there. They are
// named in the address, so that it can only say what is here.
var loginNotices = map[string]string{
	"again":     "That sign-in took too long, or was used already. Please sign in again.",
	"kept":      "Your account is kept. Sign in as you did before.",
	"recovered": "Your new password counts from now on. Sign in with it.",
}

// way is where to go after sign-in, as forms and links carry it along.
type way struct {
	ReturnTo, Flow string
	Target         string // the other host, or the app, that the flow leads to
	App, login     string // of an authorization request; see flow
	organization   string // see flow
}

// query is the way as links carry it along.
func (on way) query() url.Values { return url.Values{"flow": {on.Flow}, "return_to": {on.ReturnTo}} }

// wayOf takes the way from a form to the page shown next, leaving out what
// would not be followed.
func (h *Handler) wayOf(p Place, form url.Values) (on way) {
	if f, _, ok := h.openFlow(form.Get("flow")); ok {
		on.Flow, on.Target, on.App, on.login, on.organization = form.Get("flow"), f.App, f.App, f.Login, f.Organization
		if f.Origin != p.Origin {
			on.Target = f.target()
		}
	} else if to := localPath(form.Get("return_to")); to != "/" {
		on.ReturnTo = to
	}
	return on
}

// login signs in with a password.
func (h *Handler) login(w http.ResponseWriter, r *http.Request, p Place) error {
	if p.Mode == ModeSite {
		return h.loginElsewhere(w, r, p)
	}
	in := authcore.SignIn{Login: r.PostForm.Get("username"), Password: secret(r, "password"), Host: p.Host, Device: h.device(r, p)}
	token, session, err := h.Accounts.SignIn(r.Context(), authcore.Anonymous(p.Client), in)
	if waits := new(authcore.AwaitsFactor); errors.As(err, &waits) {
		return h.askFactor(w, r, p, r.PostForm, waits.Awaited)
	}
	if err != nil {
		return h.loginFailed(w, r, p, err)
	}
	return h.enter(w, r, p, token, session)
}

// loginElsewhere answers a sign-in sent to a gated host under a portal.
func (h *Handler) loginElsewhere(w http.ResponseWriter, r *http.Request, p Place) error {
	to := h.SignInURL(w, r, p, localPath(r.PostForm.Get("return_to")))
	if !wantsJSON(r) {
		redirect(w, to)
		return nil
	}
	prob := problem{Status: http.StatusForbidden, Code: "login_at_portal", Message: "Sign in at the portal.", RequestID: p.Client.RequestID}
	writeProblem(w, prob, map[string]any{"login_url": to})
	return nil
}

// loginFailed shows the form again, or JSON.
func (h *Handler) loginFailed(w http.ResponseWriter, r *http.Request, p Place, err error) error {
	var e *authcore.Error
	if wantsJSON(r) || !errors.As(err, &e) || e.Kind != authcore.Unauthenticated && e.Kind != authcore.TooMany {
		return err
	}
	prob := describe(err, p.Client.RequestID)
	prob.headers(w.Header())
	data, err2 := h.loginData(w, r, p, r.PostForm)
	if err2 != nil {
		return err2
	}
	data.Busy, data.RetryAfter = errors.Is(err, authcore.ErrLoginBusy), prob.retryAfter
	return h.show(w, r, p, prob.Status, "login", View{Error: errorView(prob), Data: data})
}

// enter sets the cookie of a new portal session and sends the browser on. A
// session that the browser had before ends: whoever it belonged to has gone.
func (h *Handler) enter(w http.ResponseWriter, r *http.Request, p Place, token authcore.Secret, session authcore.Session) error {
	if old, err := h.live(r, p); err == nil && old != nil {
		if err := h.Accounts.Revoke(r.Context(), actorOf(old, p), old.Session.Root); err != nil && !errors.Is(err, authcore.ErrSessionNotFound) {
			return err
		}
	}
	proof, err := h.Accounts.NewProof(r.Context(), session.UserID) // before the look whether the session lives
	if err != nil {
		return err
	}
	live, err := h.Check.session(r.Context(), token.Reveal(), p.Host, h.Accounts.Now())
	if err != nil {
		return err
	}
	if live == nil {
		return authcore.ErrLoginFailed // disabled or signed out in the meantime
	}
	h.Accounts.TellOfDevice(session, h.device(r, p))
	h.remember(w, r, p, proof)
	setCookie(w, p, sessionCookie, token.Reveal(), session.ExpiresAt.Sub(h.Accounts.Now()))
	to, err := h.after(r, p, live)
	if err == nil && to == Prefix+"account" && p.Mode == ModePortal {
		to, err = h.lacking(r, live)
	}
	if err != nil {
		return err
	}
	done(w, r, to, map[string]any{"user": publicUser(live.User())})
	return nil
}

// lacking is the page that asks for what an account lacks, where a sign-in leads nowhere
// else: a second factor, of people who need one or run this site; or a longer password.
// Without, it is the account page.
func (h *Handler) lacking(r *http.Request, live *authcore.Live) (string, error) {
	account, u := Prefix+"account", live.User()
	factors, err := h.Accounts.Factors(r.Context(), u.ID)
	if err != nil || factors.TOTP != nil || factors.Passkeys > 0 {
		return account, err
	}
	switch pw := secret(r, "password"); {
	case u.NeedsFactor(), u.Owner && !h.OwnersFree:
		return account + "/factor?asked=1", nil
	case pw != "" && h.Accounts.MayStandAlone(pw) != nil:
		return account + "?done=short", nil
	}
	return account, nil
}

// after is where a form that signed somebody in leads. Another host is reached
// by way of a page of our own, because CSP form-action holds for redirects too.
func (h *Handler) after(r *http.Request, p Place, live *authcore.Live) (string, error) {
	sealed := r.PostForm.Get("flow")
	if f, _, ok := h.openFlow(sealed); ok && f.Origin != p.Origin && p.Mode == ModePortal {
		return Prefix + "continue?flow=" + url.QueryEscape(sealed), nil
	}
	if sealed == "" && r.PostForm.Get("return_to") == "" {
		return home(p), nil
	}
	return h.onward(r, p, live, sealed, r.PostForm.Get("return_to"))
}

// home is where to go when nothing else was asked for.
func home(p Place) string {
	if p.Mode == ModePortal {
		return Prefix + "account"
	}
	return "/"
}

// onward is where a signed-in browser goes on to: through the hand-off to
// another host, or to a path here.
func (h *Handler) onward(r *http.Request, p Place, live *authcore.Live, sealed, returnTo string) (string, error) {
	f, fresh, ok := h.openFlow(sealed)
	switch {
	case ok && f.Origin == p.Origin:
		return h.back(f, fresh), nil
	case ok && p.Mode == ModePortal && fresh && f.Browser != "":
		code, err := h.Accounts.StartHandoff(r.Context(), live, Hostname(f.target()), f.Browser, f.Path)
		return f.Origin + Prefix + "callback?code=" + code.Reveal(), err
	case ok && p.Mode == ModePortal:
		return f.Origin + f.Path, nil // too old: the gate there starts it anew, without asking
	}
	if to := localPath(returnTo); to != "/" {
		return h.back(flow{Path: to}, false), nil
	}
	return home(p), nil
}

// continuePage takes a browser that has just signed in to another host.
func (h *Handler) continuePage(w http.ResponseWriter, r *http.Request, p Place) error {
	sealed := r.URL.Query().Get("flow")
	live, err := h.live(r, p)
	if err != nil {
		return err
	}
	f, _, ok := h.openFlow(sealed)
	if live == nil || !ok {
		redirect(w, Prefix+"login?flow="+url.QueryEscape(sealed))
		return nil
	}
	to, err := h.onward(r, p, live, sealed, "")
	if err != nil {
		return err
	}
	return h.show(w, r, p, http.StatusOK, "continue", View{User: userView(live), Data: continueData{URL: template.URL(to), Target: f.target(), Heading: "You are signed in"}})
}

// continueData is the Data of the page that leads on to another host: to one of ours, of a
// provider or of an app.
type continueData struct {
	URL             template.URL
	Target, Heading string
	Asks            bool // else the page goes on by itself
}

// callback receives the hand-off on a gated host.
func (h *Handler) callback(w http.ResponseWriter, r *http.Request, p Place) error {
	if r.Method != http.MethodGet {
		return notAllowed("GET") // a code is for a visit, not for a look
	}
	code := authcore.Secret(r.URL.Query().Get("code"))
	browser := FlowToken(r.Header, p.Secure)
	if code == "" || browser == "" {
		return errNoFlow
	}
	token, session, to, err := h.Accounts.FinishHandoff(r.Context(), authcore.Anonymous(p.Client), code, p.Host, browserHash(browser))
	if errors.Is(err, authcore.ErrCodeInvalid) {
		if live, err := h.live(r, p); err == nil && live != nil {
			redirect(w, "/") // the page was loaded again after it had worked
			return nil
		}
		return errStaleCallback
	}
	if err != nil {
		return err
	}
	if before, err := h.live(r, p); err != nil {
		return err
	} else if before != nil { // it came for a newer proof: the session's cookie works
		setCookie(w, p, flowCookie, browser, flowLife)
	} else {
		h.arrived(w, r, p, browser)
	}
	setCookie(w, p, sessionCookie, token.Reveal(), session.ExpiresAt.Sub(h.Accounts.Now()))
	redirect(w, localPath(to))
	return nil
}

var (
	errNoFlow = &httpError{status: 400, code: "cookie_missing",
		message: "Your browser did not send the cookie that this sign-in began with. Allow cookies for this site, then open it again."}
	errStaleCallback = &httpError{status: 400, code: "code_invalid",
		message: "This sign-in was used already or took too long. Open the site again to sign in."}
)

// RequireSignIn answers a request of somebody who is not signed in: a browser
// goes to the sign-in page, a program gets 401 and the address of that page.
//
// A program that is no browser's is told where an access token would do: with Basic
// too, because old clients send a password only when they are asked for it.
func (h *Handler) RequireSignIn(w http.ResponseWriter, r *http.Request, p Place, original *url.URL, tokens bool) {
	if !Navigation(r) {
		prob := describe(authcore.ErrNoSession, p.Client.RequestID)
		secureHeaders(w.Header())
		w.Header().Set("WWW-Authenticate", `Gatehouse realm="`+p.Host+`"`)
		if tokens && r.Header.Get("Sec-Fetch-Mode") == "" {
			w.Header()["Www-Authenticate"] = []string{`Bearer realm="` + p.Host + `"`, `Basic realm="` + p.Host + `", charset="UTF-8"`}
		}
		writeProblem(w, prob, map[string]any{"login_url": p.Portal + Prefix + "login"})
		return
	}
	if !p.SignInHere && h.circles(w, r, p) { // else the sign-in page of this host looks
		return
	}
	redirectTo(w, r, h.SignInURL(w, r, p, original.RequestURI()))
}

// RefuseToken answers a request whose access token is not taken (RFC 6750 section 3).
func (h *Handler) RefuseToken(w http.ResponseWriter, p Place, err *authcore.Error) {
	code := "invalid_token"
	if err.Kind == authcore.Forbidden {
		code = "insufficient_scope"
	}
	secureHeaders(w.Header())
	w.Header().Set("WWW-Authenticate", `Bearer realm="`+p.Host+`", error="`+code+`", error_description="`+err.Message+`"`)
	writeProblem(w, describe(err, p.Client.RequestID), nil)
}

// RequireStepUp answers a signed-in user whose proof is too old, or too weak: a
// browser goes to the page that asks for another and comes back, a program gets 401
// with what is needed (RFC 9470 section 3).
func (h *Handler) RequireStepUp(w http.ResponseWriter, r *http.Request, p Place, original *url.URL, live *authcore.Live, need access.Need) {
	if Navigation(r) && live.Session.Access == nil {
		redirectTo(w, r, h.ConfirmURL(w, r, p, original.RequestURI(), need))
		return
	}
	challengeStepUp(w, p, need)
}

// challengeStepUp tells a program what proof is needed.
func challengeStepUp(w http.ResponseWriter, p Place, need access.Need) {
	challenge := `Bearer realm="` + p.Host + `", error="insufficient_user_authentication", error_description="` + errStepUp.message + `"`
	if need.Within > 0 {
		challenge += `, max_age="` + strconv.Itoa(int(need.Within.Seconds())) + `"`
	}
	if need.SecondFactor {
		challenge += `, acr_values="mfa"`
	}
	secureHeaders(w.Header())
	w.Header().Set("WWW-Authenticate", challenge)
	writeProblem(w, describe(errStepUp, p.Client.RequestID), map[string]any{"login_url": p.Portal + Prefix + "confirm"})
}

// redirectTo sends a navigation on; the browser asks with GET.
func redirectTo(w http.ResponseWriter, r *http.Request, to string) {
	secureHeaders(w.Header())
	w.Header().Set("Location", to)
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		w.WriteHeader(http.StatusFound)
		return
	}
	w.WriteHeader(http.StatusSeeOther)
}

var (
	errStepUp = &httpError{status: http.StatusUnauthorized, code: "insufficient_user_authentication",
		message: "This page asks for a newer or stronger proof of who you are."}
)

// Refuse answers a signed-in user who may not pass, or anybody whom signing in
// would not help.
func (h *Handler) Refuse(w http.ResponseWriter, r *http.Request, p Place, live *authcore.Live) {
	if live == nil {
		h.Fail(w, r, p, nil, errRefusedHere)
		return
	}
	h.Fail(w, r, p, live, errRefused)
}

var (
	errRefused = &authcore.Error{Kind: authcore.Forbidden, Code: "access_denied",
		Message: "Your account may not open this page."}
	errRefusedHere = &authcore.Error{Kind: authcore.Forbidden, Code: "access_denied",
		Message: "This page cannot be opened from where you are."}
)
