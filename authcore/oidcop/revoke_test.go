package oidcop

import (
	"bytes"
	"crypto/elliptic"
	"encoding/base64"
	"math/big"
	"net/url"
	"strings"
	"testing"
)

// A signature of ES256 can be written in another way that holds too. A token that was revoked
// is not good with it either.
func TestRevokedHoweverItIsSigned(t *testing.T) {
	t.Parallel()
	x := benchProvider(t)
	token := x.issued(t)
	at := strings.LastIndexByte(token, '.')
	signed, text := token[:at], token[at+1:]
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != 64 {
		t.Fatal(len(raw), err)
	}
	half := new(big.Int).SetBytes(raw[32:])
	new(big.Int).Sub(elliptic.P256().Params().N, half).FillBytes(raw[32:])
	other := signed + "." + base64.RawURLEncoding.EncodeToString(raw)
	if says, err := x.Introspect(t.Context(), x.shop.Service, other); err != nil || bytes.Equal(says, notActive) {
		t.Fatalf("the other signature does not hold: %s %v", says, err)
	}
	x.serve(t, x.Endpoint(PathRevoke), x.post(PathRevoke, url.Values{"token": {token}}))
	for _, one := range []string{token, other} {
		if says, err := x.Introspect(t.Context(), x.shop.Service, one); err != nil || !bytes.Equal(says, notActive) {
			t.Errorf("after it was revoked: %s %v", says, err)
		}
	}
}

// A JWT is good as it was written alone: a decoder takes other spellings of its parts for the
// same.
func TestTokensAreGoodAsWritten(t *testing.T) {
	t.Parallel()
	x := benchProvider(t)
	token := x.issued(t)
	parts := strings.Split(token, ".")
	spelt := func(i int, part string) string {
		all := append([]string(nil), parts...)
		all[i] = part
		return strings.Join(all, ".")
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i, part := range parts {
		others := []string{part[:5] + "\n" + part[5:], part + "\r"}
		if spare := len(part) % 4; spare != 0 { // the last digit has bits that stand for nothing
			last := strings.IndexByte(alphabet, part[len(part)-1])
			others = append(others, part[:len(part)-1]+alphabet[last^1:last^1+1])
		}
		for _, other := range others {
			if says, err := x.Introspect(t.Context(), x.shop.Service, spelt(i, other)); err != nil || !bytes.Equal(says, notActive) {
				t.Errorf("part %d written as %q: %s %v", i, other, says, err)
			}
		}
	}
	if says, err := x.Introspect(t.Context(), x.shop.Service, token); err != nil || bytes.Equal(says, notActive) {
		t.Fatalf("as it was written: %s %v", says, err)
	}
}
