package web

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// disownData is the Data of the page for "it wasn't me".
type disownData struct {
	Token, Username string // empty when it is done
}

// disownPage shows a button for a link that says "it wasn't me". Looking at it uses nothing
// up.
func (h *Handler) disownPage(w http.ResponseWriter, r *http.Request, p Place) error {
	token := authcore.Secret(r.URL.Query().Get("token"))
	u, err := h.Accounts.CheckDisown(r.Context(), token)
	if err != nil {
		return err
	}
	return h.show(w, r, p, http.StatusOK, "not-me", View{Data: disownData{token.Reveal(), u.Username}})
}

// disown ends what somebody else may have begun, and leads to a new password.
func (h *Handler) disown(w http.ResponseWriter, r *http.Request, p Place) error {
	link, err := h.Accounts.Disown(r.Context(), authcore.Anonymous(p.Client), secret(r, "token"), p.Origin)
	if err != nil {
		return err
	}
	if link != "" {
		done(w, r, link.Reveal(), nil)
		return nil
	}
	if isJSON(r) {
		writeJSON(w, http.StatusOK, map[string]any{})
		return nil
	}
	return h.show(w, r, p, http.StatusOK, "not-me", View{Data: disownData{}})
}
