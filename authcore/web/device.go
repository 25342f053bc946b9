package web

import (
	"net/http"
	"strings"

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

// maxTrusts is how many people may have one browser not ask them; who wanted it last stays.
const maxTrusts = 5

// trustMarks are what a browser keeps that is not asked for second factors: one mark for
// each of its people, the newest first.
func trustMarks(r *http.Request, p Place) (marks []authcore.Secret) {
	for mark := range strings.SplitSeq(readCookie(r.Header, cookieName(trustCookie, p.Secure)), ".") {
		if len(marks) < maxTrusts && authcore.PlausibleToken(mark) {
			marks = append(marks, authcore.Secret(mark))
		}
	}
	return marks
}

// trust has the browser not asked for the second factor of the user of a new session.
// That it is asked all the same is no failure of the sign-in.
func (h *Handler) trust(w http.ResponseWriter, r *http.Request, p Place, s authcore.Session) {
	by := authcore.Actor{Kind: authcore.ActorUser, User: s.UserID, Session: s.ID, Client: p.Client}
	mark, err := h.Accounts.TrustDevice(r.Context(), by)
	if err != nil {
		h.Log.Error("a device cannot be trusted", "error", err)
	}
	if err != nil || mark == "" {
		return
	}
	value := mark.Reveal()
	for _, other := range trustMarks(r, p)[:min(len(trustMarks(r, p)), maxTrusts-1)] {
		value += "." + other.Reveal()
	}
	setCookie(w, p, trustCookie, value, h.Accounts.TrustFor)
}
