package web

import (
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/totp"
)

// awaited is a sign-in that waits for the second factor, as it travels: sealed, and
// bound to the browser.
type awaited struct {
	authcore.Awaited
	Browser string // hash of the flow cookie
}

// factorData is the Data of the page that asks for the second factor.
type factorData struct {
	way
	passkeyForm
	Factor     string // sealed
	AskCode    bool   // else only the passkey is asked for
	TrustDays  int    // for how long this browser need not ask again; 0 for not at all
	RetryAfter int
}

// askFactor asks for the second factor of a sign-in whose first proof was good. form
// carries the way along.
func (h *Handler) askFactor(w http.ResponseWriter, r *http.Request, p Place, form url.Values, a authcore.Awaited) error {
	if marks := trustMarks(r, p); len(marks) > 0 {
		token, session, err := h.Accounts.FinishOnDevice(r.Context(), authcore.Anonymous(p.Client), a, marks)
		if err == nil {
			r.PostForm = form
			return h.enter(w, r, p, token, session)
		}
		if errors.Is(err, authcore.ErrLoginFailed) { // the first proof is not good any more
			return h.loginFailed(w, r, p, err)
		}
		if !errors.Is(err, authcore.ErrFactorWrong) {
			return err
		}
	}
	text, err := json.Marshal(awaited{a, browserHash(h.flowCookie(w, r, p))})
	if err != nil {
		return err
	}
	sealed := h.Awaited.Seal(text)
	if isJSON(r) {
		writeProblem(w, describe(authcore.ErrFactorRequired, p.Client.RequestID), map[string]any{"factor": sealed})
		return nil
	}
	return h.showFactor(w, r, p, form, a.User, sealed, nil)
}

// showFactor shows the page that asks for a second factor; prob is what was wrong with
// the last try, if there was one.
func (h *Handler) showFactor(w http.ResponseWriter, r *http.Request, p Place, form url.Values, user authcore.UserID, sealed string, prob *problem) error {
	d := factorData{way: h.wayOf(p, form), Factor: sealed}
	var err error
	if d.passkeyForm, err = h.askPasskey(w, r, p, user); err != nil {
		return err
	}
	factors, err := h.Accounts.Factors(r.Context(), user)
	if err != nil {
		return err
	}
	d.AskCode, d.TrustDays = factors.TOTP != nil, int(h.Accounts.TrustFor.Hours()/24)
	status, view := http.StatusOK, View{}
	if prob != nil {
		prob.headers(w.Header())
		status, view.Error, d.RetryAfter = prob.Status, errorView(*prob), prob.retryAfter
	}
	view.Data = d
	return h.show(w, r, p, status, "factor", view)
}

// factor takes the second factor of a sign-in.
func (h *Handler) factor(w http.ResponseWriter, r *http.Request, p Place) error {
	sealed := r.PostForm.Get("factor")
	var a awaited
	text, err := h.Awaited.Open(sealed, authcore.FactorTime)
	if err != nil || json.Unmarshal(text, &a) != nil || a.Host != p.Host || a.Browser != browserHash(FlowToken(r.Header, p.Secure)) {
		if wantsJSON(r) {
			return authcore.ErrFactorOld
		}
		form := h.wayOf(p, r.PostForm).query()
		form.Set("notice", "again")
		redirect(w, Prefix+"login?"+form.Encode())
		return nil
	}
	var token authcore.Secret
	var session authcore.Session
	if hasPasskey(r) {
		token, session, err = h.Accounts.FinishWithPasskey(r.Context(), authcore.Anonymous(p.Client), a.Awaited, h.verifyPasskey(r, p, a.User))
	} else {
		token, session, err = h.Accounts.FinishSignIn(r.Context(), authcore.Anonymous(p.Client), a.Awaited, h.device(r, p), r.PostForm.Get("code"))
	}
	if err == nil {
		if r.PostForm.Get("trust") != "" {
			h.trust(w, r, p, session)
		}
		return h.enter(w, r, p, token, session)
	}
	var e *authcore.Error
	if wantsJSON(r) || !errors.As(err, &e) || e.Kind != authcore.Unauthenticated && e.Kind != authcore.TooMany {
		return err
	}
	prob := describe(err, p.Client.RequestID)
	return h.showFactor(w, r, p, r.PostForm, a.User, sealed, &prob)
}

// factorsData is what the account page says of second factors.
type factorsData struct {
	On       bool
	Since    string
	Codes    int  // recovery codes that are left
	Passkey  bool // there is one, which is two factors at once
	Required bool
	Alone    bool // without the app, the password stands alone
	Devices  []trustedView
}

// trustedView is a trusted device on the account page.
type trustedView struct{ ID, Device, Address, Used, Until string }

func (h *Handler) addFactors(r *http.Request, live *authcore.Live, d *factorsData) error {
	f, err := h.Accounts.Factors(r.Context(), live.Session.UserID)
	if err != nil {
		return err
	}
	now := h.Accounts.Now()
	*d = factorsData{Alone: f.LeavesAlone(true), Codes: f.Codes, Passkey: f.Passkeys > 0, Required: live.User().NeedsFactor()}
	if f.TOTP != nil {
		d.On, d.Since = true, ago(now, f.TOTP.CreatedAt)
	}
	devices, err := h.Accounts.TrustedDevices(r.Context(), live.Session.UserID)
	for _, t := range devices {
		d.Devices = append(d.Devices, trustedView{string(t.ID), authcore.AgentName(t.Agent), t.Address, ago(now, t.UsedAt), t.ExpiresAt.UTC().Format("2 January 2006")})
	}
	return err
}

// enrolData is the Data of the page on which a second factor is set up.
type enrolData struct {
	way
	QR          template.HTML
	Secret      string // for those who type it
	Enrol       string // sealed
	Fresh       bool
	HasPassword bool
	Confirm     []providerButton
	Proof       string
	Replaces    bool // there is one already, and a code of it is asked for
	Asked       bool // a sign-in led here
	Owner       bool // … of somebody who runs this site
	Passkeys    bool // one can be set up in its place
}

// enrolment is a secret that is not in force yet, as it travels: sealed, for one session.
type enrolment struct {
	Root   authcore.SessionID
	Secret string
}

const enrolLife = 15 * time.Minute

// enrolPage shows a new secret, to be read by an app.
func (h *Handler) enrolPage(w http.ResponseWriter, r *http.Request, p Place) error {
	live, err := h.live(r, p)
	if err != nil {
		return err
	}
	if live == nil {
		redirect(w, Prefix+"login?return_to="+Prefix+"account")
		return nil
	}
	secret := h.Accounts.NewTOTP()
	text, err := json.Marshal(enrolment{live.Session.Root, secret.Base32()})
	if err != nil {
		return err
	}
	return h.showEnrol(w, r, p, live, r.URL.Query(), secret, h.Enrols.Seal(text), http.StatusOK, nil)
}

func (h *Handler) showEnrol(w http.ResponseWriter, r *http.Request, p Place, live *authcore.Live, form url.Values, secret totp.Secret, sealed string, status int, e *ErrorView) error {
	d := enrolData{way: h.wayOf(p, form), Enrol: sealed, Proof: form.Get("proof")}
	issuer := h.Brand
	if p.Host != "" {
		issuer += " " + p.Host
	}
	qr, err := totp.QR(totp.URI(issuer, live.User().Username, secret))
	if err != nil {
		return err
	}
	d.QR, d.Secret = template.HTML(qr), secret.Grouped() // QR is made of numbers alone
	var providers providersData
	if err := h.addProviders(r, live, &providers); err != nil {
		return err
	}
	factors, err := h.Accounts.Factors(r.Context(), live.Session.UserID)
	if err != nil {
		return err
	}
	if d.HasPassword, err = h.Accounts.HasPassword(r.Context(), live.Session.UserID); err != nil {
		return err
	}
	d.Confirm, d.Replaces = providers.Confirm, factors.TOTP != nil && !h.justByPasskey(live, d.Proof)
	d.Fresh = h.fresh(p, live) || h.proofHolds(live, d.Proof)
	d.Asked, d.Owner, d.Passkeys = form.Get("asked") != "", live.User().Owner && !live.User().NeedsFactor(), h.passkeysOn(p)
	return h.show(w, r, p, status, "enrol", View{User: userView(live), Error: e, Data: d})
}

// enrol makes a secret the second factor of the user, and shows the recovery codes, this
// once.
func (h *Handler) enrol(w http.ResponseWriter, r *http.Request, p Place) error {
	live, err := h.signedIn(r, p)
	if err != nil {
		return err
	}
	var e enrolment
	text, err := h.Enrols.Open(r.PostForm.Get("enrol"), enrolLife)
	if err != nil || json.Unmarshal(text, &e) != nil || e.Root != live.Session.Root {
		return authcore.ErrFactorOld
	}
	secret, err := totp.ParseSecret(e.Secret)
	if err != nil {
		return err
	}
	var codes []authcore.Secret
	if err = h.proven(r, p, live, false); err == nil {
		codes, err = h.Accounts.EnrolTOTP(r.Context(), actorOf(live, p), live.Session.AMR, secret, r.PostForm.Get("code"), r.PostForm.Get("old_code"), h.justByPasskey(live, r.PostForm.Get("proof")))
	}
	if err == nil {
		// This browser has shown the factor. That it cannot be remembered now is no failure.
		if proof, err := h.Accounts.NewProof(r.Context(), live.Session.UserID); err == nil {
			h.remember(w, r, p, proof)
		}
		return h.showCodes(w, r, p, live, codes)
	}
	prob := describe(err, p.Client.RequestID)
	if wantsJSON(r) || prob.Status >= 500 {
		return err
	}
	prob.headers(w.Header())
	return h.showEnrol(w, r, p, live, r.PostForm, secret, r.PostForm.Get("enrol"), prob.Status, errorView(prob))
}

// codesData is the Data of the page with new recovery codes.
type codesData struct {
	Codes []string
	Next  string // where to go on to
}

// showCodes shows recovery codes, this once: there is no redirect that could carry them.
func (h *Handler) showCodes(w http.ResponseWriter, r *http.Request, p Place, live *authcore.Live, codes []authcore.Secret) error {
	var d codesData
	for _, c := range codes {
		d.Codes = append(d.Codes, c.Reveal())
	}
	if isJSON(r) {
		writeJSON(w, http.StatusOK, map[string]any{"recovery_codes": d.Codes})
		return nil
	}
	d.Next = Prefix + "account"
	if on := h.wayOf(p, r.PostForm); on.Flow != "" {
		d.Next = Prefix + "confirm?" + on.query().Encode()
	}
	return h.show(w, r, p, http.StatusOK, "codes", View{User: userView(live), Data: d})
}

// newCodes replaces the recovery codes.
func (h *Handler) newCodes(w http.ResponseWriter, r *http.Request, p Place) error {
	live, err := h.signedIn(r, p)
	if err != nil {
		return err
	}
	return h.changingThen(w, r, p, "factor", false, func(actor authcore.Actor) (func() error, error) {
		if err := h.checkFactor(r, live, actor); err != nil {
			return nil, err
		}
		codes, err := h.Accounts.RenewRecoveryCodes(r.Context(), actor)
		return func() error { return h.showCodes(w, r, p, live, codes) }, err
	})
}

// checkFactor takes the second factor for a change of it: a code, unless the session was
// proven by a passkey just now.
func (h *Handler) checkFactor(r *http.Request, live *authcore.Live, actor authcore.Actor) error {
	if h.justByPasskey(live, r.PostForm.Get("proof")) {
		return nil
	}
	return h.Accounts.CheckFactor(r.Context(), actor, strings.TrimSpace(r.PostForm.Get("code")))
}

// checkApp takes a code of the app, where there is one, for what would do in its place.
func (h *Handler) checkApp(r *http.Request, live *authcore.Live, actor authcore.Actor) error {
	factors, err := h.Accounts.Factors(r.Context(), actor.User)
	if err != nil || factors.TOTP == nil {
		return err
	}
	return h.checkFactor(r, live, actor)
}

// distrust takes a trusted device away.
func (h *Handler) distrust(w http.ResponseWriter, r *http.Request, p Place) error {
	return h.changing(w, r, p, "distrusted", false, func(actor authcore.Actor) error {
		return h.Accounts.DistrustDevice(r.Context(), actor, authcore.DeviceID(r.PostForm.Get("id")))
	})
}

// mayStandAlone refuses to take away what stands beside a password that is too short to
// stand alone. The password was proven with the same request.
func (h *Handler) mayStandAlone(r *http.Request, actor authcore.Actor) error {
	has, err := h.Accounts.HasPassword(r.Context(), actor.User)
	if err != nil || !has {
		return err
	}
	return h.Accounts.MayStandAlone(secret(r, "current_password"))
}

// removeFactor takes the second factor away, for who shows a code of it.
func (h *Handler) removeFactor(w http.ResponseWriter, r *http.Request, p Place) error {
	live, err := h.signedIn(r, p)
	if err != nil {
		return err
	}
	factors, err := h.Accounts.Factors(r.Context(), live.Session.UserID)
	if err != nil {
		return err
	}
	alone := factors.LeavesAlone(true)
	return h.changing(w, r, p, "factor", alone, func(actor authcore.Actor) error {
		if alone {
			if err := h.mayStandAlone(r, actor); err != nil {
				return err
			}
		}
		if err := h.checkFactor(r, live, actor); err != nil {
			return err
		}
		return h.Accounts.RemoveFactors(r.Context(), actor, actor.User)
	})
}
