package authcore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// The bounds of the public keys of a service.
const (
	MaxPublicKeys     = 10
	maxPublicKeysSize = 16 << 10 // bytes of the JWK Set
	minRSABits        = 2048
	maxRSABits        = 4096 // what is longer takes long to check
)

// The parts of a key (RFC 7518 section 6): those that a public key is known by, and those
// that nobody but its owner may know.
var (
	publicParts  = []string{"kty", "kid", "use", "alg", "crv", "x", "y", "n", "e"}
	privateParts = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
)

// publicKeys reads a JWK Set (RFC 7517 section 5) with the public keys of a service. normal
// is the same set without what is of no use here; fault says what is wrong with it, and is
// empty for nothing.
func publicKeys(text string) (normal, fault string) {
	const tooLong = "The keys have 16 KiB at most."
	if len(text) > maxPublicKeysSize {
		return "", tooLong
	}
	var in map[string]json.RawMessage
	var keys []map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &in) != nil || json.Unmarshal(in["keys"], &keys) != nil {
		return "", `This is no JWK Set: that is {"keys": [ … ]}, with a key such as {"kty": "EC", …} in it.`
	}
	if len(keys) == 0 || len(keys) > MaxPublicKeys {
		return "", "A service has 1 to 10 keys, or no JWK Set at all."
	}
	var set jose.JSONWebKeySet
	for i, parts := range keys {
		key, fault := publicKey(parts)
		if fault == "" && key.KeyID != "" && len(set.Key(key.KeyID)) > 0 {
			fault = "has the kid of another"
		}
		if fault != "" {
			return "", fmt.Sprintf("Key %d %s.", i+1, fault)
		}
		set.Keys = append(set.Keys, key)
	}
	out, err := json.Marshal(set)
	switch {
	case err != nil:
		return "", "These keys cannot be used."
	case len(out) > maxPublicKeysSize:
		return "", tooLong
	}
	return string(out), ""
}

// publicKey reads one key; fault says what is wrong with it, and is empty for nothing.
func publicKey(parts map[string]json.RawMessage) (key jose.JSONWebKey, fault string) {
	known := make(map[string]json.RawMessage)
	for name, value := range parts {
		switch {
		case slices.Contains(privateParts, name):
			return key, "is a private one: send the public part only"
		case slices.Contains(publicParts, name):
			known[name] = value
		}
	}
	text, err := json.Marshal(known)
	if err != nil || json.Unmarshal(text, &key) != nil {
		return key, "cannot be read: it is to be EC on P-256 or P-384, or RSA of 2048 to 4096 bits"
	}
	var algorithms []jose.SignatureAlgorithm
	switch k := key.Key.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			algorithms = []jose.SignatureAlgorithm{jose.ES256}
		case elliptic.P384():
			algorithms = []jose.SignatureAlgorithm{jose.ES384}
		default:
			return key, "is on another curve than P-256 and P-384"
		}
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return key, "has another length than 2048 to 4096 bits"
		}
		if k.N.Bit(0) == 0 || k.E < 3 || k.E > math.MaxInt32 || k.E%2 == 0 {
			return key, "is no key of RSA"
		}
		algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.PS256}
	default:
		return key, "is of another kind than EC and RSA"
	}
	switch {
	case key.Use != "" && key.Use != "sig":
		return key, `is not for signatures ("use": "sig")`
	case key.Algorithm != "" && !slices.Contains(algorithms, jose.SignatureAlgorithm(key.Algorithm)):
		return key, "has an alg that is not good for it: EC signs with ES256 or ES384, as its curve is, and RSA with RS256 or PS256"
	}
	return key, ""
}
