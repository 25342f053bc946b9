package connect

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// AppleKey makes the client secrets that Apple asks for.
type AppleKey struct {
	Team, ID string
	Key      authcore.Secret // PKCS #8 in PEM
}

// appleSecretLife is how long a client secret is good for. It is made for one request;
// Apple takes at most 15 777 000 seconds.
const appleSecretLife = 5 * time.Minute

// secret makes a client secret.
// Source: Apple, Account & Organizational Data Sharing, "Creating a client secret".
func (k *AppleKey) secret(client string, now time.Time) (string, error) {
	private, err := parseKey(k.Key)
	if err != nil {
		return "", err
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: k.ID}}, nil)
	if err != nil {
		return "", err
	}
	return jwt.Signed(s).Claims(jwt.Claims{Issuer: k.Team, Subject: client, Audience: jwt.Audience{appleIssuer},
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(appleSecretLife))}).Serialize()
}

// parseKey reads the private key that Apple gives out. Its error does not show it.
func parseKey(text authcore.Secret) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text.Reveal()))
	if block == nil {
		return nil, errors.New("the key is not in PEM form, as in the .p8 file of Apple")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the key is not one of Apple: P-256 in PKCS #8")
	}
	return key, nil
}
