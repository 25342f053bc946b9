package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
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
	var out authcore.SignOut
	told, err := h.toldClient(ctx, r.URL.Query().Get("organization"), provider)
	if err == nil {
		out, err = told.SignedOut(ctx, secret(r, "logout_token"))
	}
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

// toldClient is the client that a provider tells of a sign-out: the platform's, or that of
// the organization which the address names. The token is for that client, or no good.
func (h *Handler) toldClient(ctx context.Context, organization string, platform *connect.Provider) (*connect.Provider, error) {
	if organization == "" {
		return platform, nil
	}
	if !access.ValidSlug(organization) {
		return nil, connect.ErrAnswer.With(errors.New("no organization has such a name"))
	}
	own, err := h.Providers.Find(ctx, organization, platform.Name)
	if err == nil && own.Own == nil {
		err = connect.ErrAnswer.With(errors.New("the organization has no client of its own"))
	}
	return own, err
}
