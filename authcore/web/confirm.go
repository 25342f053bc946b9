package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// confirmData is the Data of the page that asks for another proof.
type confirmData struct {
	way
	Busy        bool
	RetryAfter  int
	HasPassword bool
	Providers   []providerButton
}

// maxAge is the greatest age of a proof that is asked for, in seconds: a year.
const maxAge = 365 * 24 * 60 * 60

// confirmPage asks a signed-in user for another proof. Whose proof is young enough
// for where the flow leads goes on at once.
func (h *Handler) confirmPage(w http.ResponseWriter, r *http.Request, p Place) error {
	q := r.URL.Query()
	if p.Mode == ModeSite {
		if h.circles(w, r, p) {
			return nil
		}
		age, _ := strconv.Atoi(q.Get("max_age")) // the gate asks again where that is not enough
		redirect(w, h.ConfirmURL(w, r, p, q.Get("return_to"), time.Duration(min(max(age, 0), maxAge))*time.Second))
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
	if f, _, ok := h.openFlow(q.Get("flow")); ok && f.Within > 0 && Navigation(r) &&
		h.Accounts.Now().Sub(live.Session.AuthTime) < time.Duration(f.Within)*time.Second {
		to, err := h.onward(r, p, live, q.Get("flow"), "")
		if err != nil {
			return err
		}
		redirect(w, to)
		return nil
	}
	data, err := h.confirmData(r, p, live, q)
	if err != nil {
		return err
	}
	return h.show(w, r, p, http.StatusOK, "confirm", View{User: userView(live), Notice: loginNotices[q.Get("notice")], Data: data})
}

// confirmData gathers the ways in which a user can prove who they are.
func (h *Handler) confirmData(r *http.Request, p Place, live *authcore.Live, form url.Values) (confirmData, error) {
	d := confirmData{way: h.wayOf(p, form)}
	has, err := h.Accounts.HasPassword(r.Context(), live.Session.UserID)
	if err != nil {
		return d, err
	}
	linked, err := h.Accounts.Identities(r.Context(), live.Session.UserID)
	if err != nil {
		return d, err
	}
	d.HasPassword = has
	more := d.query()
	more.Set("for", string(toConfirm))
	for _, p := range h.Providers.All() {
		if slices.ContainsFunc(linked, func(i authcore.Identity) bool { return i.Provider == p.Name }) {
			d.Providers = append(d.Providers, h.button(p, more))
		}
	}
	return d, nil
}

// confirm takes the proof.
func (h *Handler) confirm(w http.ResponseWriter, r *http.Request, p Place) error {
	if p.Mode == ModeSite {
		return errNotFound
	}
	live, err := h.signedIn(r, p)
	if err != nil {
		return err
	}
	if err := h.Accounts.StepUp(r.Context(), actorOf(live, p), secret(r, "password")); err != nil {
		return h.confirmFailed(w, r, p, live, inField(err, "current_password", "password"))
	}
	if live, err = h.signedIn(r, p); err != nil { // with the new proof, for the hand-off
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
	data, err2 := h.confirmData(r, p, live, r.PostForm)
	if err2 != nil {
		return err2
	}
	data.Busy, data.RetryAfter = errors.Is(err, authcore.ErrLoginBusy), prob.retryAfter
	return h.show(w, r, p, prob.Status, "confirm", View{User: userView(live), Error: errorView(prob), Data: data})
}

// proofLife is for how long a proof by a provider is good for changes, where the session
// being young is not enough.
const proofLife = 5 * time.Minute

// sealProof says that the user of a session proved just now, at a provider, who they are.
// It travels in the address of the account page and in its forms.
func (h *Handler) sealProof(live *authcore.Live) string {
	return h.Proofs.Seal([]byte(live.Session.Root))
}

// proofHolds tells whether a sealed proof is of this session, and young.
func (h *Handler) proofHolds(live *authcore.Live, sealed string) bool {
	root, err := h.Proofs.Open(sealed, proofLife)
	return err == nil && string(root) == string(live.Session.Root)
}

// proven sees to it that who asks for a change of an account is its user: because the
// session is young enough, or by a proof at a provider, or by the password. Where
// always is set, one who has a password has to give it.
func (h *Handler) proven(r *http.Request, p Place, live *authcore.Live, always bool) error {
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
		return errProofByProvider
	}
	return h.Accounts.Confirm(r.Context(), actorOf(live, p), secret(r, "current_password"))
}

var errProofByProvider = &authcore.Error{Kind: authcore.Forbidden, Code: "proof_required",
	Message: "Please confirm with a sign-in provider that it is you, then make this change again."}
