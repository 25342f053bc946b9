package connect

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

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
