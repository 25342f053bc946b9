package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/connect"
)

// providerSignsOut takes a provider's word that somebody signed out there (OpenID Connect
// Back-Channel Logout 1.0 section 2.5). Its answers have the form of section 2.8.
func (h *Handler) providerSignsOut(w http.ResponseWriter, r *http.Request, p Place, provider *connect.Provider) error {
	ctx, cancel := context.WithTimeout(r.Context(), finishTime)
	defer cancel()
	giveBack, err := h.Accounts.AdmitProvider(authcore.Anonymous(p.Client)) // who makes something up has few tries
	if err != nil {
		return err
	}
	out, err := provider.SignedOut(ctx, secret(r, "logout_token"))
	if err == nil {
		giveBack()
		err = h.Accounts.SignedOut(ctx, authcore.Actor{Kind: authcore.ActorSystem, Client: p.Client}, out)
	} else {
		h.Accounts.ProviderFailed(authcore.Anonymous(p.Client), provider.Name, err)
	}
	secureHeaders(w.Header())
	switch {
	case err == nil:
		w.WriteHeader(http.StatusOK)
	case errors.Is(err, connect.ErrAnswer):
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": "The logout token is not valid."})
	default: // it may tell us again
		h.log(r, describe(err, p.Client.RequestID), err)
		w.Header().Set("Retry-After", "5")
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"error": "temporarily_unavailable"})
	}
	return nil
}
