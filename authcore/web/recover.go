package web

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// recoverData is the Data of both pages on which people get a new password.
type recoverData struct {
	Email           string // as it was typed
	Sent            bool
	Token, Username string
	passwordRules
	RetryAfter int
	Busy       bool
}

// mayRecover tells whether people can ask for a link.
func (h *Handler) mayRecover() error {
	switch {
	case h.Accounts.PasswordOff:
		return authcore.ErrPasswordOff
	case !h.Accounts.CanRecover():
		return authcore.ErrRecoverOff
	}
	return nil
}

// recoverPage asks for the address of an account.
func (h *Handler) recoverPage(w http.ResponseWriter, r *http.Request, p Place) error {
	if err := h.mayRecover(); err != nil {
		return err
	}
	return h.show(w, r, p, http.StatusOK, "recover", View{Data: recoverData{Sent: r.URL.Query().Get("done") == "sent"}})
}

// recover sends a link, if there is somebody to send it to; it does not say so.
func (h *Handler) recover(w http.ResponseWriter, r *http.Request, p Place) error {
	email := r.PostForm.Get("email")
	if err := h.Accounts.AskRecovery(r.Context(), authcore.Anonymous(p.Client), email); err != nil {
		return h.recoverFailed(w, r, p, "recover", recoverData{Email: email}, err)
	}
	done(w, r, Prefix+"recover?done=sent", nil)
	return nil
}

// newPasswordPage shows the form of a recovery link. Looking at it uses nothing up.
func (h *Handler) newPasswordPage(w http.ResponseWriter, r *http.Request, p Place) error {
	token := authcore.Secret(r.URL.Query().Get("token"))
	u, err := h.Accounts.CheckRecovery(r.Context(), token)
	if err != nil {
		return err
	}
	d := recoverData{Token: token.Reveal(), Username: u.Username}
	if d.passwordRules, err = h.rulesFor(r, u.ID); err != nil {
		return err
	}
	return h.show(w, r, p, http.StatusOK, "new-password", View{Data: d})
}

// newPassword takes the new password, and leads to the sign-in page.
func (h *Handler) newPassword(w http.ResponseWriter, r *http.Request, p Place) error {
	token := secret(r, "token")
	err := h.Accounts.Recover(r.Context(), authcore.Anonymous(p.Client), token, secret(r, "new_password"))
	if err == nil {
		done(w, r, Prefix+"login?notice=recovered", nil)
		return nil
	}
	d := recoverData{Token: token.Reveal()}
	if u, err := h.Accounts.CheckRecovery(r.Context(), token); err == nil {
		d.Username = u.Username
		if d.passwordRules, err = h.rulesFor(r, u.ID); err != nil {
			return err
		}
	}
	return h.recoverFailed(w, r, p, "new-password", d, inField(err, "password", "new_password"))
}

// recoverFailed shows a form again, or JSON; a link that is no good has no form.
func (h *Handler) recoverFailed(w http.ResponseWriter, r *http.Request, p Place, page string, d recoverData, err error) error {
	prob := describe(err, p.Client.RequestID)
	if wantsJSON(r) || prob.Status >= http.StatusInternalServerError || prob.Status == http.StatusForbidden {
		return err
	}
	prob.headers(w.Header())
	d.Busy, d.RetryAfter = prob.Code == authcore.ErrLoginBusy.Code, prob.retryAfter
	return h.show(w, r, p, prob.Status, page, View{Error: errorView(prob), Data: d})
}
