package web

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// alive says that the process answers.
func (h *Handler) alive(w http.ResponseWriter, _ *http.Request, _ Place) error {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	return nil
}

// ready says that the database answers too.
func (h *Handler) ready(w http.ResponseWriter, r *http.Request, _ Place) error {
	if err := h.Ready(r.Context()); err != nil {
		return authcore.ErrUnavailable.With(err)
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	return nil
}
