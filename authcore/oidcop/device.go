package oidcop

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

const (
	// deviceLife is how long a device waits to be let in.
	deviceLife = 15 * time.Minute
	// userAlphabet are the signs of user codes: no vowels, so that they make no words, and none
	// that look alike (RFC 8628 section 6.1).
	userAlphabet = "BCDFGHJKLMNPQRSTVWXZ"
	userSigns    = 8
)

// userCodes is how many user codes there are: 20 to the power of 8, or 34 bits.
const userCodes = 25_600_000_000

// userCodeOf is the code that people type for a device, in its plain form. All hashes, in their
// order, are cut into as many equal parts as there are codes; the code is the number of the
// part that has the device's, in base 20. So the devices of a code are a range of the primary
// key, and the code needs no index of its own.
func userCodeOf(device authcore.TokenHash) string {
	part, _ := bits.Mul64(binary.BigEndian.Uint64(device[:]), userCodes)
	var code [userSigns]byte
	for i := len(code) - 1; i >= 0; i-- {
		code[i] = userAlphabet[part%uint64(len(userAlphabet))]
		part /= uint64(len(userAlphabet))
	}
	return string(code[:])
}

// devicesOf are the first and the last hash of the part of a code in its plain form.
func devicesOf(code string) (first, last authcore.TokenHash) {
	var part uint64
	for i := range len(code) {
		part = part*uint64(len(userAlphabet)) + uint64(strings.IndexByte(userAlphabet, code[i]))
	}
	begin, _ := bits.Div64(part, userCodes-1, userCodes)  // of part, rounded up
	end, _ := bits.Div64(part, math.MaxUint64, userCodes) // the last before the next part
	for i := range last {
		last[i] = 0xff
	}
	binary.BigEndian.PutUint64(first[:], begin)
	binary.BigEndian.PutUint64(last[:], end)
	return first, last
}

// ShowUserCode is a code as people read it: XXXX-XXXX.
func ShowUserCode(plain string) string { return plain[:userSigns/2] + "-" + plain[userSigns/2:] }

// PlainUserCode is what people typed in its plain form; empty for what is no code.
func PlainUserCode(typed string) string {
	if len(typed) > 4*userSigns {
		return ""
	}
	code := strings.Map(func(r rune) rune {
		switch {
		case r == '-' || r == ' ' || r == '\t' || r == '.' || r == '_' || r == '\u2013':
			return -1
		case strings.ContainsRune(userAlphabet, r):
			return r
		case strings.ContainsRune(strings.ToLower(userAlphabet), r):
			return r - 'a' + 'A'
		}
		return '?'
	}, typed)
	if len(code) != userSigns || strings.Contains(code, "?") {
		return ""
	}
	return code
}

// deviceAnswer is the answer to a device that wants in (RFC 8628 section 3.2).
type deviceAnswer struct {
	Device   string `json:"device_code"`
	User     string `json:"user_code"`
	URI      string `json:"verification_uri"`
	Complete string `json:"verification_uri_complete"`
	Expires  int64  `json:"expires_in"` // seconds
	Interval int64  `json:"interval"`   // seconds
}

// device answers the requests of devices that want in (RFC 8628 section 3.1).
func (p *Provider) device(w http.ResponseWriter, r *http.Request, from authcore.Client) {
	out, err := p.beginDevice(w, r, from)
	if err != nil {
		p.fail(w, r, from, err)
		return
	}
	answer(w, http.StatusOK, out)
}

func (p *Provider) beginDevice(w http.ResponseWriter, r *http.Request, from authcore.Client) (*deviceAnswer, error) {
	c, form, err := p.asked(w, r, from)
	if err != nil {
		return nil, err
	}
	if !c.Device {
		return nil, &Error{Code: "unauthorized_client", Description: "The service does not sign in on devices: its settings can say that it does."}
	}
	resources, err := p.resourcesOf(r.Context(), c, form)
	if err != nil {
		return nil, err
	}
	if err := p.mayWrite(c, from); err != nil {
		return nil, err
	}
	scopes := granted(c, form.Get("scope"))
	if c.own() {
		scopes = p.CommandScopes
	}
	now := p.now()
	text, hash := authcore.KindDevice.New()
	g := authcore.DeviceGrant{Device: hash, Service: c.Service.ID, Scopes: scopes, Resources: resources,
		Address: from.Address, Agent: from.Agent, Status: authcore.DeviceWaiting, CreatedAt: now, ExpiresAt: now.Add(deviceLife)}
	if _, err := p.State.devices.ask(r.Context(), g); err != nil {
		return nil, err
	}
	page, code := p.Issuer+PathVerification, ShowUserCode(userCodeOf(hash))
	return &deviceAnswer{Device: text.Reveal(), User: code, URI: page, Complete: page + "?" + url.Values{"user_code": {code}}.Encode(),
		Expires: int64(deviceLife / time.Second), Interval: int64(pollEvery / time.Second)}, nil
}

// byDevice issues the tokens of a device that a user let in (RFC 8628 section 3.4).
func (p *Provider) byDevice(ctx context.Context, ask *asking) (*tokens, error) {
	c, text := ask.client, ask.form.Get("device_code")
	if text == "" {
		return nil, invalid("The device_code is missing.")
	}
	if !authcore.KindDevice.Plausible(text) {
		return nil, errGrant
	}
	hash, now := authcore.HashToken(text), p.now()
	key := authcore.DeviceKeyOf(hash)
	q := p.State.polls.ask(key)
	switch {
	case q.known && q.service != c.Service.ID:
		return nil, errGrant
	case q.early:
		return nil, errSlowDown
	case q.waiting && now.Before(q.expires) && p.Accounts.Sessions.Current(ctx, now) == nil:
		return nil, errPending
	}
	d, err := p.State.reader.ask(ctx, hash)
	if err != nil {
		return nil, err
	}
	if d == nil || d.Service != c.Service.ID {
		return nil, errGrant
	}
	if p.State.polls.found(q, d) {
		return nil, errSlowDown
	}
	switch {
	case d.Status == authcore.DeviceDenied:
		p.State.polls.forget(key)
		return nil, errDenied
	case d.Status != authcore.DeviceUsed && !now.Before(d.ExpiresAt):
		p.State.polls.forget(key)
		return nil, errExpired
	case d.Status == authcore.DeviceWaiting:
		return nil, errPending
	case c.own():
		return p.forCommandLine(ctx, ask, *d)
	}
	g, err := p.Accounts.Store.GrantBySession(ctx, d.Session, now, p.idleSince(now))
	if errors.Is(err, authcore.ErrNoSession) {
		err = errGrant
	}
	if err != nil {
		return nil, err
	}
	if err := p.still(ctx, c, &g.Session); err != nil {
		return nil, err
	}
	i := p.begin(c, &g, g.Session.Scopes, g.Session.Resources, ask.key)
	if err := p.make(ctx, i); err != nil {
		return nil, err
	}
	refreshText, refresh := newRefresh(&g.Session, c, now)
	if err := p.Accounts.Store.RedeemDevice(ctx, hash, now.Add(c.RefreshLife), ask.key, refresh, i.stored, p.replayed(ask, "a device code")); err != nil {
		return nil, p.afterReplay(err, &g)
	}
	p.State.polls.forget(key)
	return p.answerTo(ctx, i, refreshText, "")
}

// commandLineLife is how long the command line stays signed in.
const commandLineLife = 30 * 24 * time.Hour

// forCommandLine gives the command line an access token of the user who let it in: one like
// those that people make on their account page, and revoke there.
func (p *Provider) forCommandLine(ctx context.Context, ask *asking, d authcore.DeviceGrant) (*tokens, error) {
	if d.Status != authcore.DeviceApproved {
		return nil, errGrant
	}
	text, t, err := p.Accounts.CommandLineToken(ctx, authcore.Actor{Kind: authcore.ActorUser, User: d.User, Client: ask.from}, d, commandLineLife)
	if err != nil {
		return nil, err
	}
	p.State.polls.forget(authcore.DeviceKeyOf(d.Device))
	return &tokens{Access: text.Reveal(), Type: "Bearer", Expires: int64(t.ExpiresAt.Sub(t.CreatedAt) / time.Second)}, nil
}

// Waiting is a device that waits to be let in, as its page shows it.
type Waiting struct {
	Grant        authcore.DeviceGrant
	Service      authcore.Service
	Organization authcore.Organization // of the service; the zero one for the command line
	client       *client
}

// FindDevice finds the device that waits with a code that a signed-in user typed:
// ErrUserCodeInvalid, ErrTooMany…. Wrong codes are counted by user and by address.
func (p *Provider) FindDevice(ctx context.Context, user authcore.UserID, typed string, from authcore.Client) (Waiting, error) {
	code := PlainUserCode(typed)
	if code == "" {
		return Waiting{}, authcore.ErrUserCodeInvalid
	}
	giveBack, err := p.Accounts.GuessUserCode(user, from)
	if err != nil {
		return Waiting{}, err
	}
	first, last := devicesOf(code)
	d, err := p.Accounts.Store.WaitingDevice(ctx, first, last, p.now())
	if err != nil {
		return Waiting{}, err
	}
	giveBack()
	if d.Service == "" {
		return Waiting{Grant: d, Service: commandLine.Service, client: commandLine}, nil
	}
	s, o, err := p.Accounts.Store.ServiceForToken(ctx, d.Service)
	if errors.Is(err, authcore.ErrNoSession) {
		err = authcore.ErrUserCodeInvalid
	}
	if err != nil {
		return Waiting{}, err
	}
	return Waiting{Grant: d, Service: s, Organization: o, client: &client{Service: s, status: o.Status}}, nil
}

// CommandLine tells whether it is Gatehouse's own command line that waits.
func (w *Waiting) CommandLine() bool { return w.client.own() }

// Approve lets a device in, by the session of a user: with the errors of NoteEndUser, and
// ErrUserCodeInvalid where it waits no more.
func (p *Provider) Approve(ctx context.Context, w Waiting, live *authcore.Live, from authcore.Client) error {
	if err := live.Session.InPerson(); err != nil { // who acts as somebody lets no device in
		return err
	}
	now := p.now()
	by := authcore.Actor{Kind: authcore.ActorUser, User: live.Session.UserID, Session: live.Session.Root, Client: from}
	if w.CommandLine() {
		ev := authcore.NewEvent(now, by, authcore.ServiceLogin, authcore.TargetUser(by.User), authcore.Success, "the command line at "+w.Grant.Address)
		return p.answered(w, p.Accounts.Store.ApproveDevice(ctx, w.Grant.Device, by.User, nil, ev))
	}
	s := sessionFor(w.client, &live.Session, w.Grant.Scopes, w.Grant.Resources, authcore.Client{Address: w.Grant.Address, Agent: w.Grant.Agent}, now)
	s.Offline, s.ExpiresAt = true, w.Grant.ExpiresAt
	err := p.answered(w, p.Accounts.Store.ApproveDevice(ctx, w.Grant.Device, by.User, &s, signedIn(now, by, w.client, "a device at "+w.Grant.Address)))
	if err != nil || len(w.Grant.Scopes) == 0 {
		return err
	}
	return p.Accounts.Consent(ctx, by, w.Service, w.Grant.Scopes)
}

// Deny refuses a device: ErrUserCodeInvalid where it waits no more.
func (p *Provider) Deny(ctx context.Context, w Waiting, live *authcore.Live, from authcore.Client) error {
	by := authcore.Actor{Kind: authcore.ActorUser, User: live.Session.UserID, Session: live.Session.Root, Client: from, Act: live.Session.Act}
	ev := authcore.NewEvent(p.now(), by, authcore.ServiceLogin, authcore.TargetService(w.Service.ID), authcore.Refused, "a device at "+w.Grant.Address+" was refused")
	if w.CommandLine() {
		ev.Target = authcore.TargetUser(by.User)
	}
	return p.answered(w, p.Accounts.Store.DenyDevice(ctx, w.Grant.Device, ev.In(w.Service.Organization)))
}

// answered makes an answer to a device count on this node at once.
func (p *Provider) answered(w Waiting, err error) error {
	p.State.polls.answered(authcore.DeviceKeyOf(w.Grant.Device))
	return err
}
