package web

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// device is what the browser remembers of sign-ins here; of a cookie that is
// forged, cut or too old, nothing.
func (h *Handler) device(r *http.Request, p Place) authcore.Device {
	b, err := h.Devices.Open(readCookie(r.Header, cookieName(deviceCookie, p.Secure)), authcore.DeviceLife)
	if err != nil {
		return nil
	}
	return authcore.ParseDevice(b)
}

// remember adds a proof to what the browser remembers.
func (h *Handler) remember(w http.ResponseWriter, r *http.Request, p Place, proof authcore.Proof) {
	setCookie(w, p, deviceCookie, h.Devices.Seal(h.device(r, p).With(proof).Bytes()), authcore.DeviceLife)
}

// trustMark is what a browser keeps that is not asked for second factors.
func trustMark(r *http.Request, p Place) authcore.Secret {
	return authcore.Secret(readCookie(r.Header, cookieName(trustCookie, p.Secure)))
}

// trust has the browser not asked for the second factor of the user of a new session.
// That it is asked all the same is no failure of the sign-in.
func (h *Handler) trust(w http.ResponseWriter, r *http.Request, p Place, s authcore.Session) {
	by := authcore.Actor{Kind: authcore.ActorUser, User: s.UserID, Session: s.ID, Client: p.Client}
	mark, err := h.Accounts.TrustDevice(r.Context(), by, trustMark(r, p))
	if err != nil {
		h.Log.Error("a device cannot be trusted", "error", err)
	} else if mark != "" {
		setCookie(w, p, trustCookie, mark.Reveal(), h.Accounts.TrustFor)
	}
}
