package caddymodule

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/web"
)

// watchEvery is how often a connection that lasts is judged anew.
const watchEvery = 500 * time.Millisecond

// lasting tells whether a request asks for a connection that lasts: a WebSocket, or
// a stream of events.
func lasting(h http.Header) bool {
	if len(h["Upgrade"]) > 0 || len(h[":protocol"]) > 0 { // RFC 8441 section 4, as Go tells of it
		return true
	}
	for _, accept := range h["Accept"] {
		if strings.Contains(accept, "text/event-stream") {
			return true
		}
	}
	return false
}

// watched gives a handler that lets a request through for as long as it would be let
// through if it came now: a revoked session, a disabled user or a group that is taken
// away ends it. It does not count as activity.
func (g *Gate) watched(rt *instance, by web.Credentials, req access.Request, next caddyhttp.Handler) caddyhttp.Handler {
	return caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		ctx, cancel := context.WithCancel(r.Context())
		host := web.Hostname(r.Host)
		done := make(chan struct{})
		go func() {
			defer close(done)
			tick := time.NewTicker(watchEvery)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					if !rt.check.Still(ctx, by, g.door(host), time.Now(), req) {
						cancel()
					}
				}
			}
		}()
		defer func() { cancel(); <-done }()
		return next.ServeHTTP(w, r.WithContext(ctx))
	})
}
