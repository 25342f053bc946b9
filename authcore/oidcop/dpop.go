package oidcop

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

const (
	// proofLife is how old a proof may be.
	proofLife = time.Minute
	maxProof  = 8 << 10 // bytes
)

var errProof = &Error{Code: "invalid_dpop_proof", Description: "The DPoP proof is missing, malformed, old, used before or not for this request."}

// proofClaims are those of a proof (RFC 9449 section 4.2).
type proofClaims struct {
	ID       string           `json:"jti"`
	Method   string           `json:"htm"`
	URL      string           `json:"htu"`
	IssuedAt *jwt.NumericDate `json:"iat"`
	Token    string           `json:"ath"`
}

// proven gives the thumbprint of the key that a request proves to have (RFC 9449 section
// 4.3); empty where it has no proof. A token that the proof goes with is not empty. The id of
// the proof is remembered in a share.
func (p *Provider) proven(r *http.Request, path, token string, in share) (string, error) {
	lines := r.Header["Dpop"]
	if len(lines) == 0 {
		return "", nil
	}
	if len(lines) > 1 || len(lines[0]) > maxProof {
		return "", errProof
	}
	parsed, err := jwt.ParseSigned(lines[0], proofAlgorithms)
	if err != nil || len(parsed.Headers) != 1 {
		return "", errProof
	}
	head := parsed.Headers[0]
	key := head.JSONWebKey
	typ, _ := head.ExtraHeaders[jose.HeaderType].(string)
	var claims proofClaims
	if key == nil || !key.Valid() || !key.IsPublic() || !bounded(key) || typ != "dpop+jwt" || parsed.Claims(key, &claims) != nil {
		return "", errProof
	}
	now := p.now()
	switch {
	case claims.ID == "" || len(claims.ID) > maxID, claims.Method != r.Method, claims.URL != p.Issuer+path, claims.IssuedAt == nil:
		return "", errProof
	case now.Sub(claims.IssuedAt.Time()) > proofLife, claims.IssuedAt.Time().Sub(now) > leeway:
		return "", errProof
	}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		if subtle.ConstantTimeCompare([]byte(claims.Token), []byte(base64.RawURLEncoding.EncodeToString(sum[:]))) != 1 {
			return "", errProof
		}
	}
	thumb, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", errProof
	}
	jkt := base64.RawURLEncoding.EncodeToString(thumb)
	first, err := p.State.proofs.first(in, jkt, claims.ID, claims.IssuedAt.Time().Add(proofLife+leeway))
	if err == nil && !first {
		err = errProof
	}
	return jkt, err
}

// bounded tells whether a key takes no more time to check than it should: of RSA there are
// keys of any size.
func bounded(key *jose.JSONWebKey) bool {
	k, is := key.Key.(*rsa.PublicKey)
	return !is || k.N.BitLen() >= 2048 && k.N.BitLen() <= 4096 && k.E <= 1<<24
}

// keyFor gives the thumbprint to which the tokens of a client are bound, by its proof. A
// service that says so has one always.
func (p *Provider) keyFor(r *http.Request, c *client, from authcore.Client) (string, error) {
	if c.own() { // which gets no token that is bound
		return "", nil
	}
	jkt, err := p.proven(r, PathToken, "", c.share(from))
	if err == nil && jkt == "" && c.DPoP {
		err = errProof
	}
	return jkt, err
}
