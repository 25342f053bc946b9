package web

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// publicUser is a user as the user may see it. It holds nothing that signs in
// anywhere.
func publicUser(u *authcore.User) map[string]any {
	groups := u.Groups
	if groups == nil {
		groups = []string{}
	}
	return map[string]any{"id": u.ID, "username": u.Username, "name": u.Name, "email": u.Email,
		"email_verified": u.EmailVerified, "groups": groups, "owner": u.Owner}
}

// whoami tells a page or program who is signed in. It always answers in JSON.
func (h *Handler) whoami(w http.ResponseWriter, r *http.Request, p Place) error {
	live, err := h.signedIn(r, p)
	if err != nil {
		prob := describe(err, p.Client.RequestID)
		more := map[string]any{}
		if prob.Status == http.StatusUnauthorized {
			more["login_url"] = p.Portal + Prefix + "login"
		}
		h.log(r, prob, err)
		writeProblem(w, prob, more)
		return nil
	}
	user := publicUser(live.User())
	s := live.Session
	user["session"] = map[string]any{"id": s.Root, "amr": s.AMR, "auth_time": s.AuthTime.UTC().Format(time.RFC3339),
		"expires_at": s.ExpiresAt.UTC().Format(time.RFC3339)}
	writeJSON(w, http.StatusOK, user)
	return nil
}
