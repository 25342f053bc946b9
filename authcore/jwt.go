package authcore

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
)

// jwtHead is the header of the JWTs of a type that a key signs, as they begin with it
// (RFC 7515 section 4.1).
func jwtHead(key SigningKey, typ string) (string, error) {
	text, err := json.Marshal(struct {
		Algorithm Algorithm `json:"alg"`
		ID        string    `json:"kid"`
		Type      string    `json:"typ"`
	}{key.Algorithm, key.ID, typ})
	return base64.RawURLEncoding.EncodeToString(text), err
}

// Sign makes a JWT of claims (RFC 7519), in compact form.
func (s *Signer) Sign(claims any) (string, error) { return s.SignAs(TypeJWT, claims) }

// SignAs is Sign for a JWT of a type. The header is always the same, and the claims are
// encoded once, while a library that signs for everybody reads and sorts them again.
func (s *Signer) SignAs(typ string, claims any) (string, error) {
	says, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	head, as := s.heads[typ], base64.RawURLEncoding
	text := make([]byte, 0, len(head)+2+as.EncodedLen(len(says))+as.EncodedLen(rsaBits/8))
	text = as.AppendEncode(append(append(text, head...), '.'), says)
	digest := sha256.Sum256(text)
	signature, err := s.sign(digest[:])
	if err != nil {
		return "", err
	}
	return string(as.AppendEncode(append(text, '.'), signature)), nil
}

// halfES256 is the length of the two numbers of a signature, in bytes.
const halfES256 = 32

// signES256 signs as a JWT has it: two numbers of the same length (RFC 7518 section 3.4).
func signES256(key *ecdsa.PrivateKey, digest []byte) ([]byte, error) {
	r, s, err := ecdsa.Sign(rand.Reader, key, digest)
	if err != nil {
		return nil, err
	}
	signature := make([]byte, 2*halfES256)
	r.FillBytes(signature[:halfES256])
	s.FillBytes(signature[halfES256:])
	return signature, nil
}
