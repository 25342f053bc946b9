package oidcop

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// The algorithms by which clients sign: assertions, by keys such as a service can have, and
// proofs of a key.
var (
	assertionAlgorithms = []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.RS256, jose.PS256}
	proofAlgorithms     = append(slices.Clone(assertionAlgorithms), jose.EdDSA)
)

const (
	// assertionLife is how far away the end of an assertion can be.
	assertionLife = 10 * time.Minute
	// leeway is how far the clocks of clients may be off.
	leeway = 30 * time.Second
	// maxID is the longest id of an assertion or a proof, in bytes.
	maxID = 256
)

var errAssertion = errors.New("the assertion is not good")

// subjectOf reads whose an assertion claims to be, before its signature is checked: there the
// keys are found. A client_id in the form must be the same.
func (p *Provider) subjectOf(text, id string) (string, error) {
	parsed, err := jwt.ParseSigned(text, assertionAlgorithms)
	var claims jwt.Claims
	if err == nil {
		err = parsed.UnsafeClaimsWithoutVerification(&claims)
	}
	if err != nil || claims.Subject == "" || id != "" && id != claims.Subject {
		return "", errAssertion
	}
	return claims.Subject, nil
}

// checkAssertion checks the assertion of a client (RFC 7523 section 3, OpenID Connect Core
// section 9, private_key_jwt): it is signed by one of its keys, for this provider, young, and
// was not used before.
func (p *Provider) checkAssertion(c *client, text string) error {
	var keys jose.JSONWebKeySet
	if c.Keys == "" || json.Unmarshal([]byte(c.Keys), &keys) != nil {
		return errAssertion
	}
	parsed, err := jwt.ParseSigned(text, assertionAlgorithms)
	if err != nil || len(parsed.Headers) != 1 {
		return errAssertion
	}
	var claims jwt.Claims
	verified := slices.ContainsFunc(keys.Keys, func(k jose.JSONWebKey) bool {
		head := parsed.Headers[0]
		return (head.KeyID == "" || k.KeyID == "" || head.KeyID == k.KeyID) && (k.Algorithm == "" || k.Algorithm == head.Algorithm) && parsed.Claims(k.Public(), &claims) == nil
	})
	now := p.now()
	switch {
	case !verified, claims.Issuer != c.ClientID, claims.Subject != c.ClientID:
		return errAssertion
	case !slices.ContainsFunc(claims.Audience, func(a string) bool { return a == p.Issuer || a == p.Issuer+PathToken || a == p.Issuer+PathPush }):
		return errAssertion
	case claims.Expiry == nil, now.After(claims.Expiry.Time().Add(leeway)), claims.Expiry.Time().After(now.Add(assertionLife + leeway)):
		return errAssertion
	case claims.NotBefore != nil && now.Add(leeway).Before(claims.NotBefore.Time()), claims.IssuedAt != nil && now.Add(leeway).Before(claims.IssuedAt.Time()):
		return errAssertion
	case claims.ID == "" || len(claims.ID) > maxID:
		return errAssertion
	}
	first, err := p.State.assertions.first(byClient(c.ClientID), c.ClientID, claims.ID, claims.Expiry.Time().Add(leeway))
	if err == nil && !first {
		err = errAssertion
	}
	return err
}
