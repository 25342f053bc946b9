package web

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// verifyData is the Data of the page that verifies an address.
type verifyData struct {
	Email, Token string
	Other        bool // somebody else is signed in than the one whose link it is
}

// verifyPage shows what a link would verify. Looking at it uses nothing up.
func (h *Handler) verifyPage(w http.ResponseWriter, r *http.Request, p Place) error {
	token := authcore.Secret(r.URL.Query().Get("token"))
	email, user, err := h.Accounts.CheckVerification(r.Context(), token)
	if err != nil {
		return err
	}
	live, err := h.live(r, p)
	if err != nil {
		return err
	}
	d := verifyData{Email: email, Token: token.Reveal(), Other: live != nil && live.Session.UserID != user}
	return h.show(w, r, p, http.StatusOK, "verify-email", View{User: userView(live), Data: d})
}

// verifyEmail verifies the address of a link for its user.
func (h *Handler) verifyEmail(w http.ResponseWriter, r *http.Request, p Place) error {
	live, err := h.signedIn(r, p)
	if err != nil {
		return err
	}
	if err := h.Accounts.VerifyEmail(r.Context(), actorOf(live, p), secret(r, "token")); err != nil {
		return err
	}
	done(w, r, Prefix+"account?done=verified", nil)
	return nil
}

// cancelEmail takes another address back.
func (h *Handler) cancelEmail(w http.ResponseWriter, r *http.Request, p Place) error {
	return h.changing(w, r, p, "cancelled", false, func(actor authcore.Actor) error { return h.Accounts.CancelEmail(r.Context(), actor) })
}

// sendVerification sends the link again.
func (h *Handler) sendVerification(w http.ResponseWriter, r *http.Request, p Place) error {
	live, err := h.signedIn(r, p)
	if err != nil {
		return err
	}
	if err = h.Accounts.AskVerification(r.Context(), actorOf(live, p), p.Origin); err == nil {
		done(w, r, Prefix+"account?done=asked", nil)
		return nil
	}
	prob := describe(err, p.Client.RequestID)
	if wantsJSON(r) || prob.Status >= http.StatusInternalServerError {
		return err
	}
	prob.headers(w.Header())
	return h.showAccount(w, r, p, live, prob.Status, View{Error: errorView(prob)}, accountData{Form: "verify"})
}
