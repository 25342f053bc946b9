package authcore

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/limit"
)

// GuessUserCode counts a code of a device that a user typed, before it is looked up: there
// are few enough to guess. It gives back what it counted where the code was right, or an error
// with the time to wait.
func (a *Accounts) GuessUserCode(user UserID, from Client) (giveBack func(), err error) {
	address, _ := netip.ParseAddr(from.Address)
	keys := []string{"user " + string(user), "address " + limit.AddressKey(address)}
	for i, key := range keys {
		if ok, after := a.ByUserCode.Take(key); !ok {
			for _, taken := range keys[:i] {
				a.ByUserCode.GiveBack(taken)
			}
			return nil, &Error{Kind: TooMany, Code: "too_many_codes", Message: "Too many wrong codes. Please wait before you try again.", RetryAfter: after}
		}
	}
	return func() {
		for _, key := range keys {
			a.ByUserCode.GiveBack(key)
		}
	}, nil
}

// commandLinePaths are where a token of the command line is good.
var commandLinePaths = []string{"/.gate/api/*"}

// OfCommandLine tells whether it is a token of the command line.
func (t *AccessToken) OfCommandLine() bool { return slices.Equal(t.Grant.Paths, commandLinePaths) }

// CommandLineToken makes the access token of a user who let the command line in as a device,
// once: for the API alone, with the scopes that the device asked for. ErrGrantUsed,
// ErrTooManyTokens.
func (a *Accounts) CommandLineToken(ctx context.Context, actor Actor, d DeviceGrant, life time.Duration) (Secret, AccessToken, error) {
	if err := actor.inPerson(); err != nil {
		return "", AccessToken{}, err
	}
	factors, err := a.Factors(ctx, d.User)
	if err != nil {
		return "", AccessToken{}, err
	}
	text, hash := MakeAccessToken()
	now := a.Now()
	t := AccessToken{ID: NewSessionID(), UserID: d.User, Name: clean("Command line at "+d.Address, maxTokenName), Grant: access.Grant{Paths: commandLinePaths, Scopes: d.Scopes},
		CreatedAt: now, ExpiresAt: now.Add(life), SecondFactor: factors.Has()}
	post, err := a.tellOf(ctx, d.User, Letter{Kind: MailToken, Token: t.Name})
	if err == nil {
		err = a.Store.RedeemCommandLine(ctx, d.Device, t, hash, a.event(actor, TokenCreate, TargetToken(t.ID), Success, t.Name), post...)
	}
	return text, t, err
}

// EndCommandLineToken ends an access token of the command line for who has it. What is no
// such token needs no ending.
func (a *Accounts) EndCommandLineToken(ctx context.Context, text string, from Client) error {
	if !PlausibleAccessToken(text) {
		return nil
	}
	t, _, err := a.Sessions.reader.AccessTokenByHash(ctx, HashToken(text)) // also one of a user who is disabled
	if errors.Is(err, ErrNoSession) || err == nil && !t.OfCommandLine() {
		return nil
	}
	if err == nil {
		err = a.RevokeAccessToken(ctx, Actor{Kind: ActorToken, User: t.UserID, Session: t.ID, Client: from}, t.ID)
	}
	if ErrTokenNotFound.is(err) {
		return nil
	}
	return err
}
