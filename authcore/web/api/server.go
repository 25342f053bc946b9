package api

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// MaxBody is the largest body that is read, in bytes.
const MaxBody = 64 << 10

// Server answers the requests of the API.
type Server struct {
	Accounts *authcore.Accounts
	Answers  *authcore.Sealer // for answers that are kept for idempotency keys
	Cursors  *authcore.Sealer
	Log      *slog.Logger // may be nil
}

// Answer is what a request gets that worked.
type Answer struct {
	Status   int
	Body     json.RawMessage // nil for none
	Replayed bool            // it was given before, to the same idempotency key
}

// Who tells whose a request for a route is, or why it is nobody's who may ask.
type Who func(rt *Route) (authcore.Actor, error)

// DocumentPath is where the OpenAPI document is, under /.gate/api/v1.
const DocumentPath = "/openapi.json"

// Serve answers a request for a path under /.gate/api/v1, where links lead to the pages of
// an origin.
func (s *Server) Serve(r *http.Request, path, origin string, who Who) (Answer, error) {
	if path == DocumentPath {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return Answer{}, notAllowed([]string{http.MethodGet, http.MethodHead})
		}
		return Answer{Status: http.StatusOK, Body: document()}, nil
	}
	rt, places, others := Find(r.Method, path)
	if rt == nil {
		if len(others) > 0 {
			return Answer{}, notAllowed(others)
		}
		return Answer{}, ErrNotFound
	}
	actor, err := who(rt)
	if err != nil {
		return Answer{}, err
	}
	c := &Call{Ctx: r.Context(), Accounts: s.Accounts, Actor: actor, Origin: origin, route: rt, server: s, places: places}
	if err := c.checkPlaces(); err != nil {
		return Answer{}, err
	}
	if err := c.admit(); err != nil {
		return Answer{}, err
	}
	if err := c.readQuery(r.URL.RawQuery); err != nil {
		return Answer{}, err
	}
	body, err := c.readBody(r)
	if err != nil {
		return Answer{}, err
	}
	var in any
	if rt.Do.body != nil {
		if in, err = decode(body, rt.Do.body); err != nil {
			return Answer{}, err
		}
	}
	if key, ok := r.Header["Idempotency-Key"]; ok && rt.Creates {
		return s.once(c, path, strings.Join(key, ","), body, in)
	}
	return c.run(in)
}

func notAllowed(methods []string) error {
	allow := strings.Join(methods, ", ")
	return &Refusal{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Message: "This address takes " + allow + " only.", Allow: allow}
}

// readBody reads the body of a change. One with a session says that it is JSON even where
// it is empty, which no form of another site can.
func (c *Call) readBody(r *http.Request) ([]byte, error) {
	if !c.route.Changes() {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) || len(body) > MaxBody {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, errBadBody
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	form := c.Actor.Kind == authcore.ActorUser && r.Method != http.MethodDelete
	if kind != "application/json" && (len(body) > 0 || form || c.route.Do.body != nil) {
		return nil, errContentType
	}
	if c.route.Do.body == nil && len(body) > 0 {
		_, err := decode(body, emptyBody) // an empty object does no harm
		return nil, err
	}
	return body, nil
}

// run carries the route out.
func (c *Call) run(in any) (Answer, error) {
	out, err := c.route.Do.run(c, in)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Status: c.route.status()}
	if c.route.Do.answer == nil {
		return a, nil
	}
	if p, ok := out.(interface{ paged() (any, string) }); ok {
		items, next := p.paged()
		out = map[string]any{"items": items, "next": c.cursor(next)}
	}
	a.Body, err = json.Marshal(out)
	return a, err
}
