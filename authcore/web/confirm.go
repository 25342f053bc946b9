package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// confirmData is the Data of the page that asks for another proof.
type confirmData struct {
	way
	passkeyForm
	Busy         bool
	RetryAfter   int
	HasPassword  bool   // and it is asked for
	AskCode      bool   // of the second factor
	Enrol        string // where to set one up, where one is asked for and there is none
	For          string // what a passkey is asked for, as forms carry it along
	EnrolPasskey string // where to set up a passkey then
	Providers    []providerButton
}

// maxAge is the greatest age of a proof that is asked for, in seconds: a year.
const maxAge = 365 * 24 * 60 * 60

// confirmPage asks a signed-in user for another proof. Whose proof is good enough for
// where the flow leads goes on at once.
func (h *Handler) confirmPage(w http.ResponseWriter, r *http.Request, p Place) error {
	q := r.URL.Query()
	if p.Mode == ModeSite {
		if h.circles(w, r, p) {
			return nil
		}
		age, _ := strconv.Atoi(q.Get("max_age")) // the gate asks again where that is not enough
		need := access.Need{Within: time.Duration(min(max(age, 0), maxAge)) * time.Second, SecondFactor: q.Get("factor") != ""}
		redirect(w, h.ConfirmURL(w, r, p, q.Get("return_to"), need))
		return nil
	}
	live, err := h.live(r, p)
	if err != nil {
		return err
	}
	if live == nil {
		redirect(w, Prefix+"login?flow="+url.QueryEscape(q.Get("flow")))
		return nil
	}
	if f, _, ok := h.openFlow(q.Get("flow")); ok && Navigation(r) && h.proofEnough(f, live) {
		to, err := h.onward(r, p, live, q.Get("flow"), "")
		if err != nil {
			return err
		}
		redirect(w, to)
		return nil
	}
	if err := live.Session.InPerson(); err != nil { // who could prove nothing
		return err
	}
	data, err := h.confirmData(w, r, p, live, q)
	if err != nil {
		return err
	}
	return h.show(w, r, p, http.StatusOK, "confirm", View{User: userView(live), Notice: loginNotices[q.Get("notice")], Data: data})
}

// proofEnough tells whether a session was proven as a flow that asks for a proof wants it.
func (h *Handler) proofEnough(f flow, live *authcore.Live) bool {
	proof := ProofOf(&live.Session, h.Accounts.Now())
	young := proof.Age < time.Duration(f.Within)*time.Second && live.Session.AuthTime.UnixMicro() >= f.Since
	return (f.Within > 0 || f.Factor) && (f.Within == 0 || young) && (!f.Factor || proof.SecondFactor && (f.Within == 0 || !proof.Remembered))
}

// confirmData gathers the ways in which a user can prove who they are.
func (h *Handler) confirmData(w http.ResponseWriter, r *http.Request, p Place, live *authcore.Live, form url.Values) (confirmData, error) {
	d := confirmData{way: h.wayOf(p, form)}
	if form.Get("for") == string(toChange) {
		d.For = string(toChange)
	}
	f, _, _ := h.openFlow(form.Get("flow"))
	factors, err := h.Accounts.Factors(r.Context(), live.Session.UserID)
	if err != nil {
		return d, err
	}
	if d.passkeyForm, err = h.askPasskey(w, r, p, live.Session.UserID); err != nil {
		return d, err
	}
	d.AskCode = factors.TOTP != nil
	if f.Factor && factors.TOTP == nil {
		if d.Passkey != nil {
			return d, nil
		}
		d.Enrol = Prefix + "account/factor?" + d.query().Encode()
		if _, ok := h.party(p); ok {
			d.EnrolPasskey = Prefix + "account/passkey?" + d.query().Encode()
		}
		return d, nil
	}
	if onlyFactor(f) {
		return d, nil
	}
	if d.HasPassword, err = h.Accounts.HasPassword(r.Context(), live.Session.UserID); err != nil {
		return d, err
	}
	linked, err := h.Accounts.Identities(r.Context(), live.Session.UserID)
	if err != nil {
		return d, err
	}
	more := d.query()
	more.Set("for", string(toConfirm))
	for _, p := range h.Providers.All() {
		if slices.ContainsFunc(linked, func(i authcore.Identity) bool { return i.Provider == p.Name }) {
			d.Providers = append(d.Providers, h.button(p, more))
		}
	}
	return d, nil
}

// onlyFactor tells whether a flow wants a second factor, and no newer proof.
func onlyFactor(f flow) bool { return f.Factor && f.Within == 0 }

// confirm takes the proof: the password, and the second factor of who has one.
func (h *Handler) confirm(w http.ResponseWriter, r *http.Request, p Place) error {
	if p.Mode == ModeSite {
		return errNotFound
	}
	live, err := h.signedIn(r, p)
	if err != nil {
		return err
	}
	if hasPasskey(r) {
		if err := h.Accounts.ProveByPasskey(r.Context(), actorOf(live, p), live.Session.AMR, h.verifyPasskey(r, p, live.Session.UserID)); err != nil {
			return h.confirmFailed(w, r, p, live, err)
		}
		if r.PostForm.Get("for") == string(toChange) {
			done(w, r, Prefix+"account?proof="+h.sealProof(live, byPasskey), nil)
			return nil
		}
		return h.confirmed(w, r, p)
	}
	factors, err := h.Accounts.Factors(r.Context(), live.Session.UserID)
	if err != nil {
		return err
	}
	f, _, _ := h.openFlow(r.PostForm.Get("flow"))
	proof := authcore.StepUp{Password: secret(r, "password"), NoPassword: onlyFactor(f) && factors.TOTP != nil, Code: r.PostForm.Get("code"),
		Factor: factors.TOTP != nil, AMR: live.Session.AMR}
	if err := h.Accounts.StepUp(r.Context(), actorOf(live, p), proof); err != nil {
		return h.confirmFailed(w, r, p, live, inField(err, "current_password", "password"))
	}
	return h.confirmed(w, r, p)
}

// confirmed goes on to where somebody wanted to go who has proven it again.
func (h *Handler) confirmed(w http.ResponseWriter, r *http.Request, p Place) error {
	live, err := h.signedIn(r, p) // with the new proof, for the hand-off
	if err != nil {
		return err
	}
	to, err := h.after(r, p, live)
	if err != nil {
		return err
	}
	done(w, r, to, nil)
	return nil
}

// confirmFailed shows the page again, or JSON.
func (h *Handler) confirmFailed(w http.ResponseWriter, r *http.Request, p Place, live *authcore.Live, err error) error {
	prob := describe(err, p.Client.RequestID)
	if wantsJSON(r) || prob.Status >= http.StatusInternalServerError || prob.Code == "internal" {
		return err
	}
	prob.headers(w.Header())
	data, err2 := h.confirmData(w, r, p, live, r.PostForm)
	if err2 != nil {
		return err2
	}
	data.Busy, data.RetryAfter = errors.Is(err, authcore.ErrLoginBusy), prob.retryAfter
	return h.show(w, r, p, prob.Status, "confirm", View{User: userView(live), Error: errorView(prob), Data: data})
}

// proofLife is for how long a proof by a provider is good for changes, where the session
// being young is not enough.
const proofLife = 5 * time.Minute

// sealProof says that the user of a session proved just now, at a provider or by a
// passkey, who they are. It travels in the address of the account page and in its forms.
func (h *Handler) sealProof(live *authcore.Live, how string) string {
	return h.Proofs.Seal([]byte(string(live.Session.Root) + " " + how))
}

// How somebody proved who they are.
const (
	byProvider = "provider"
	byPasskey  = "passkey"
)

// proofHolds tells whether a sealed proof is of this session, and young.
func (h *Handler) proofHolds(live *authcore.Live, sealed string) bool {
	return h.proofHow(live, sealed) != ""
}

// proofHow tells how a sealed proof was made; empty where it does not hold.
func (h *Handler) proofHow(live *authcore.Live, sealed string) string {
	text, err := h.Proofs.Open(sealed, proofLife)
	root, how, _ := strings.Cut(string(text), " ")
	if err != nil || root != string(live.Session.Root) {
		return ""
	}
	return how
}

// justByPasskey tells whether the user of a session has proven a passkey not long ago: at
// the sign-in, or since then.
func (h *Handler) justByPasskey(live *authcore.Live, proof string) bool {
	s := &live.Session
	return h.proofHow(live, proof) == byPasskey ||
		authcore.ByPasskey(s.AMR) && s.AuthTime.Equal(s.CreatedAt) && h.Accounts.Now().Sub(s.AuthTime) < freshFor
}

// proven sees to it that who asks for a change of an account is its user: because the
// session is young enough, or by a proof at a provider, or by the password. Where
// always is set, one who has a password has to give it.
func (h *Handler) proven(r *http.Request, p Place, live *authcore.Live, always bool) error {
	if err := live.Session.InPerson(); err != nil {
		return err
	}
	if live.User().NeedsFactor() && !ProofOf(&live.Session, h.Accounts.Now()).SecondFactor {
		if f, err := h.Accounts.Factors(r.Context(), live.Session.UserID); err != nil {
			return err
		} else if f.Has() { // else the first one has to be set up
			return errFactorFirst
		}
	}
	if h.fresh(p, live) && !always {
		return nil
	}
	has, err := h.Accounts.HasPassword(r.Context(), live.Session.UserID)
	if err != nil {
		return err
	}
	// Where the app shares the origin, a provider that signs in without asking would be a
	// proof that the app can bring about.
	proven := h.fresh(p, live) || h.proofHolds(live, r.PostForm.Get("proof"))
	switch {
	case !has && proven, has && proven && !always && p.Mode == ModePortal:
		return nil
	case !has:
		return errProofFirst
	}
	return h.Accounts.Confirm(r.Context(), actorOf(live, p), secret(r, "current_password"))
}

var errProofFirst = &authcore.Error{Kind: authcore.Forbidden, Code: "proof_required",
	Message: "Please confirm that it is you, with a passkey or a sign-in provider, then make this change again."}
