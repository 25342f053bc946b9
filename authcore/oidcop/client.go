package oidcop

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/limit"
)

// CommandLine is the client id of Gatehouse's own command line, which signs in as a device.
const CommandLine = "gatehouse-command-line"

// client is a service as an OAuth client, as it was read at a generation of changes.
type client struct {
	authcore.Service
	status     authcore.OrganizationStatus
	generation uint64
}

// own tells whether the client is Gatehouse's own command line.
func (c *client) own() bool { return c.Service.ID == "" }

// usable tells whether the service and its organization are active.
func (c *client) usable() bool {
	return c.Service.Status == authcore.Active && c.status == authcore.OrganizationActive
}

// commandLine stands for the command line: a public client that may do nothing but sign in as
// a device.
var commandLine = &client{Service: authcore.Service{ClientID: CommandLine, Type: authcore.ServiceDesktop, FirstParty: true,
	ServiceSettings: authcore.ServiceSettings{Name: "Gatehouse on the command line", Status: authcore.Active, Device: true}}, status: authcore.OrganizationActive}

// maxClientID is longer than any client id, in bytes.
const maxClientID = 64

// maxClients bounds those that are kept in memory.
const maxClients = 10000

// find finds a client by its id, from memory unless something has changed since; nil where
// there is none.
func (p *Provider) find(ctx context.Context, id string) (*client, error) {
	if id == CommandLine {
		return commandLine, nil
	}
	if id == "" || len(id) > maxClientID || plain(id) != id {
		return nil, nil
	}
	sessions := p.Accounts.Sessions
	if err := sessions.Current(ctx, p.now()); err != nil {
		return nil, err
	}
	generation := sessions.Generation()
	if kept, ok := p.State.clients.Load(id); ok && kept.(*client).generation == generation {
		return kept.(*client), nil
	}
	s, status, err := p.Accounts.Store.ServiceByClientID(ctx, id)
	if errors.Is(err, authcore.ErrServiceNotFound) {
		p.State.clients.Delete(id)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := &client{Service: s, status: status, generation: generation}
	p.State.keepClient(id, c)
	return c, nil
}

// keepClient keeps a client in memory. Only ids that there are come here, so that the bound is
// hardly ever reached; then all begin anew.
func (s *State) keepClient(id string, c *client) {
	if _, there := s.clients.Swap(id, c); there {
		return
	}
	if s.kept.Add(1) > maxClients {
		s.kept.Store(0)
		s.clients.Clear()
	}
}

// mayWrite counts what anybody can have written in the name of a client that proves nothing,
// by address.
func (p *Provider) mayWrite(c *client, from authcore.Client) error {
	if c.Type.Confidential() {
		return nil
	}
	address, _ := netip.ParseAddr(from.Address)
	if ok, after := p.Accounts.DeviceCodes.Take(limit.AddressKey(address)); !ok {
		return &authcore.Error{Kind: authcore.TooMany, Code: "too_many_requests", Message: "Too many sign-ins were begun from this address. Try again later.", RetryAfter: after}
	}
	return nil
}

// The type of the assertion by which a client proves who it is (RFC 7523 section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// asked reads a request of a client, which proves who it is.
func (p *Provider) asked(w http.ResponseWriter, r *http.Request, from authcore.Client) (*client, url.Values, error) {
	form, bad := readForm(w, r)
	if bad != nil {
		return nil, nil, bad
	}
	c, err := p.authenticate(r, form, from)
	return c, form, err
}

// authenticate finds the client of a request and has it prove who it is (RFC 6749 section
// 2.3): by its secret in Basic or in the form, by an assertion, or not at all where it is
// public. One way at a time.
func (p *Provider) authenticate(r *http.Request, form url.Values, from authcore.Client) (*client, error) {
	refuse := func(description string) error {
		e := &Error{Code: "invalid_client", Description: description, Status: http.StatusUnauthorized}
		if len(r.Header["Authorization"]) > 0 {
			e.Challenge = `Basic realm="` + p.Issuer + `"`
		}
		return e
	}
	id, secret, basic, err := basicOf(r)
	if err != nil {
		return nil, refuse("The Authorization header cannot be read: Basic, with the client id and the secret percent-encoded.")
	}
	ways := 0 // an empty secret is none: a client that has none may send it all the same
	for _, there := range []bool{basic && secret != "", form.Get("client_secret") != "", form.Has("client_assertion")} {
		if there {
			ways++
		}
	}
	switch {
	case ways > 1:
		return nil, invalid("Prove who the client is in one way only.")
	case basic && form.Has("client_id") && form.Get("client_id") != id:
		return nil, invalid("The client_id is not that of the Authorization header.")
	case !basic:
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	if form.Has("client_assertion") {
		if form.Get("client_assertion_type") != assertionType {
			return nil, invalid("The client_assertion_type must be " + assertionType + ".")
		}
		if id, err = p.subjectOf(form.Get("client_assertion"), id); err != nil {
			return nil, refuse("The client_assertion cannot be read, or is of another client.")
		}
	}
	c, err := p.find(r.Context(), id)
	if err != nil {
		return nil, err
	}
	const wrong = "There is no such client, or its secret or assertion is wrong."
	switch {
	case id == "":
		return nil, refuse("No client_id was sent.")
	case c == nil:
		return nil, refuse(wrong)
	case form.Has("client_assertion"):
		err = p.checkAssertion(c, form.Get("client_assertion"))
	case !c.Type.Confidential() && ways == 0:
	case ways == 0:
		return nil, refuse("No client secret or assertion was sent.")
	case c.Keys == "" && c.SecretIs(authcore.Secret(secret), p.now()):
	default:
		err = errors.New("wrong or missing proof")
	}
	switch {
	case err != nil && errors.As(err, new(*authcore.Error)):
		return nil, err
	case err != nil:
		return nil, refuse(wrong)
	case !c.usable():
		return nil, refuse("This client cannot be used at present.")
	}
	return c, nil
}

// basicOf reads the Authorization header of a client (RFC 6749 section 2.3.1), which is of the
// scheme Basic.
func basicOf(r *http.Request) (id, secret string, basic bool, err error) {
	lines := r.Header["Authorization"]
	if len(lines) == 0 {
		return "", "", false, nil
	}
	scheme, rest, _ := strings.Cut(lines[0], " ")
	if len(lines) > 1 || !strings.EqualFold(scheme, "Basic") {
		return "", "", false, errors.New("not one Basic")
	}
	pair, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	if err != nil {
		return "", "", false, err
	}
	id, secret, ok := strings.Cut(string(pair), ":")
	if !ok {
		return "", "", false, errors.New("no colon")
	}
	if id, err = url.QueryUnescape(id); err != nil {
		return "", "", false, err
	}
	secret, err = url.QueryUnescape(secret)
	return id, secret, true, err
}
