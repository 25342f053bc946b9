package caddymodule

import (
	"errors"
	"net/http"
	"reflect"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types/ref"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/web"
)

// Match holds requests of users whom an allow line with the same terms would let in.
// It protects nothing by itself: what is behind it may be reached another way.
type Match struct {
	// Terms as those of allow in a policy, such as group:ops or everyone.
	Terms []string `json:"terms,omitempty"`

	app    *App
	policy *access.Policy
}

var (
	_ caddyhttp.RequestMatcherWithError = (*Match)(nil)
	_ caddyhttp.CELLibraryProducer      = (*Match)(nil)
	_ caddyfile.Unmarshaler             = (*Match)(nil)
	_ caddy.Provisioner                 = (*Match)(nil)
)

// CaddyModule implements caddy.Module.
func (*Match) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.gate", New: func() caddy.Module { return new(Match) }}
}

// UnmarshalCaddyfile reads `gate TERM…`.
func (m *Match) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		m.Terms = append(m.Terms, d.RemainingArgs()...)
		if err := noBlock(d, "gate"); err != nil {
			return err
		}
	}
	if _, err := m.compile(); err != nil {
		return d.Errf("%v", err)
	}
	return nil
}

func (m *Match) compile() (*access.Policy, error) {
	if len(m.Terms) == 0 {
		return nil, errors.New("the matcher gate needs terms as in an allow line, such as group:ops or everyone")
	}
	return access.Parse([]access.Line{{Word: "allow", Args: m.Terms}})
}

// Provision finds the app.
func (m *Match) Provision(ctx caddy.Context) (err error) {
	if m.policy, err = m.compile(); err != nil {
		return err
	}
	m.app, err = appOf(ctx)
	return err
}

// MatchWithError implements caddyhttp.RequestMatcherWithError. Behind a gate it
// looks at whom that has told of; before one, at the session itself. It is an error
// where that cannot be known now.
func (m *Match) MatchWithError(r *http.Request) (bool, error) {
	method, u := original(r)
	req := access.Request{Method: method, Path: u.Path, RawPath: u.RawPath}
	var by web.Credentials // kept by a gate, which hides them
	if s, _ := vars(r)[stateVar].(*state); s != nil && s.owner.Load() == replacer(r) {
		if s.live != nil {
			req.Proof = web.ProofOf(&s.live.Session, time.Now())
			d := m.policy.Decide(&req, &s.live.Prepared().(*web.Known).Identity)
			return d.Outcome == access.Allow, nil
		}
		by = s.by
	}
	rt, err := m.app.running()
	if err != nil {
		return false, err
	}
	if by == (web.Credentials{}) {
		by.Session = web.SessionToken(r.Header, rt.secure(r)) // only a gate's policy accepts access tokens
	}
	v, err := rt.check.Judge(r.Context(), by, web.Door{Host: web.Hostname(r.Host), Policy: m.policy}, time.Now(), &req)
	return err == nil && v.Outcome == access.Allow, err
}

// CELLibrary makes the matcher a function in expressions, as in gate('group:ops').
func (*Match) CELLibrary(ctx caddy.Context) (cel.Library, error) {
	return caddyhttp.CELMatcherImpl("gate", "gate_match_request_list", []*cel.Type{cel.ListType(cel.StringType)},
		func(data ref.Val) (caddyhttp.RequestMatcherWithError, error) {
			terms, err := data.ConvertToNative(reflect.TypeFor[[]string]())
			if err != nil {
				return nil, err
			}
			m := &Match{Terms: terms.([]string)}
			return m, m.Provision(ctx)
		})
}
