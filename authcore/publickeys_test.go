package authcore

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// jwk is a key as JSON.
func jwk(t testing.TB, k jose.JSONWebKey) string {
	t.Helper()
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func jwkSet(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

// ecKey is a key on a curve.
func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// modulus is a number that can be that of an RSA key, as far as its public part tells.
func modulus(bits uint) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return n.SetBit(n, 0, 1)
}

func TestPublicKeys(t *testing.T) {
	t.Parallel()
	p256, p384 := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P384())
	ed, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ec := func(kid, use, alg string) string {
		return jwk(t, jose.JSONWebKey{Key: p256.Public(), KeyID: kid, Use: use, Algorithm: alg})
	}
	modulusKey := func(bits uint, e int) string {
		return jwk(t, jose.JSONWebKey{Key: &rsa.PublicKey{N: modulus(bits), E: e}})
	}
	with := func(key, more string) string { return strings.TrimSuffix(key, "}") + "," + more + "}" }
	var ten []string
	for i := range MaxPublicKeys {
		ten = append(ten, ec(fmt.Sprint("k", i), "sig", "ES256"))
	}
	rsaPublic, withoutD := jwk(t, jose.JSONWebKey{Key: private.Public()}), map[string]any{}
	if err := json.Unmarshal([]byte(jwk(t, jose.JSONWebKey{Key: private})), &withoutD); err != nil {
		t.Fatal(err)
	}
	delete(withoutD, "d")
	primes, err := json.Marshal(withoutD)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, text, fault string }{
		{"EC", jwkSet(ec("", "", "")), ""},
		{"P-384", jwkSet(jwk(t, jose.JSONWebKey{Key: p384.Public(), Algorithm: "ES384"})), ""},
		{"RSA", jwkSet(jwk(t, jose.JSONWebKey{Key: private.Public(), KeyID: "r", Use: "sig", Algorithm: "PS256"})), ""},
		{"RSA, the longest", jwkSet(modulusKey(4096, 65537)), ""},
		{"ten, one without a kid", jwkSet(append(ten[:9:9], rsaPublic)...), ""},
		{"with what is of no use", `{"more":1,"keys":[` + with(ec("a", "", ""), `"x5c":["no certificate"],"key_ops":["verify"]`) + `]}`, ""},
		{"spaces", " \n" + jwkSet(ec("a", "", "")) + "\n", ""},
		{"nothing", "", "no JWK Set"}, {"no JSON", "x", "no JWK Set"}, {"a list", "[]", "no JWK Set"}, {"one key alone", ec("", "", ""), "no JWK Set"},
		{"PEM", "-----BEGIN PUBLIC KEY-----", "no JWK Set"}, {"more behind it", jwkSet(ec("", "", "")) + "{}", "no JWK Set"}, {"other case", `{"Keys":[` + rsaPublic + `]}`, "no JWK Set"}, {"a text as key", jwkSet(`"x"`), "no JWK Set"},
		{"no key", jwkSet(), "1 to 10"}, {"null for keys", `{"keys":null}`, "1 to 10"}, {"eleven", jwkSet(append(ten[:10:10], ec("", "", ""))...), "1 to 10"},
		{"null for a key", jwkSet("null"), "Key 1 cannot be read"}, {"no kind", jwkSet("{}"), "Key 1 cannot be read"}, {"an unknown kind", jwkSet(`{"kty":"X"}`), "Key 1 cannot be read"}, {"half a key", jwkSet(`{"kty":"EC","crv":"P-256","x":"AA"}`), "cannot be read"},
		{"not on the curve", jwkSet(`{"kty":"EC","crv":"P-256","x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `"}`), "cannot be read"},
		{"EC, private", jwkSet(ec("a", "", ""), jwk(t, jose.JSONWebKey{Key: p256})), "Key 2 is a private one: send the public part only."},
		{"RSA, private", jwkSet(jwk(t, jose.JSONWebKey{Key: private})), "private one"},
		{"RSA, its primes", jwkSet(string(primes)), "private one"},
		{"private, without a kind", jwkSet(`{"d":null}`), "private one"},
		{"symmetric", jwkSet(`{"kty":"oct","k":"c2VjcmV0"}`), "private one"},
		{"Ed25519, private", jwkSet(jwk(t, jose.JSONWebKey{Key: edPrivate})), "private one"},
		{"Ed25519", jwkSet(jwk(t, jose.JSONWebKey{Key: ed})), "another kind"},
		{"P-521", jwkSet(jwk(t, jose.JSONWebKey{Key: ecKey(t, elliptic.P521()).Public()})), "another curve"},
		{"RSA, short", jwkSet(modulusKey(2047, 65537)), "another length"},
		{"RSA, long", jwkSet(modulusKey(4097, 65537)), "cannot be read"},
		{"RSA, exponent 1", jwkSet(modulusKey(2048, 1)), "no key of RSA"}, {"RSA, exponent 4", jwkSet(modulusKey(2048, 4)), "no key of RSA"}, {"RSA, exponent too large", jwkSet(modulusKey(2048, 1<<31+1)), "no key of RSA"},
		{"for encryption", jwkSet(ec("", "enc", "")), "not for signatures"},
		{"the algorithm of another kind", jwkSet(ec("", "", "RS256")), "alg that"}, {"of another curve", jwkSet(ec("", "", "ES384")), "alg that"}, {"none", jwkSet(ec("", "", "none")), "alg that"}, {"HMAC", jwkSet(with(rsaPublic, `"alg":"HS256"`)), "alg that"}, {"RS512", jwkSet(with(rsaPublic, `"alg":"RS512"`)), "alg that"},
		{"a kid twice", jwkSet(ec("a", "", ""), with(rsaPublic, `"kid":"a"`)), "Key 2 has the kid of another."},
		{"too long", jwkSet(ec(strings.Repeat("k", 16<<10), "", "")), "16 KiB"}, {"too long once it is written", jwkSet(ec(strings.Repeat("<", 5000), "", "")), "16 KiB"},
		{"deep", strings.Repeat(`{"keys":[`, 1700), "no JWK Set"},
	} {
		normal, fault := publicKeys(c.text)
		if c.fault == "" && fault != "" || !strings.Contains(fault, c.fault) {
			t.Errorf("%s: %q, want %q", c.what, fault, c.fault)
		}
		if (normal == "") != (fault != "") {
			t.Errorf("%s: %q with %q", c.what, normal, fault)
		}
	}
	normal, _ := publicKeys(`{"keys": [ ` + with(ec("a", "sig", "ES256"), `"x5t":"!"`) + ` ], "x": 1}`)
	if want := jwkSet(ec("a", "sig", "ES256")); normal != want {
		t.Errorf("the normal form is %s, want %s", normal, want)
	}
}

// Whatever is let through is read again as it is, and holds no private part.
func FuzzPublicKeys(f *testing.F) {
	k := ecKey(f, elliptic.P256())
	for _, key := range []any{k, k.Public(), &rsa.PublicKey{N: modulus(2048), E: 3}} {
		f.Add(jwkSet(jwk(f, jose.JSONWebKey{Key: key, KeyID: "a"})))
	}
	f.Fuzz(func(t *testing.T, text string) {
		normal, fault := publicKeys(text)
		if fault != "" {
			return
		}
		if again, fault := publicKeys(normal); fault != "" || again != normal {
			t.Errorf("%q is %q, and that %q %q", text, normal, again, fault)
		}
		var set jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(normal), &set); err != nil {
			t.Fatal(err)
		}
		for _, k := range set.Keys {
			if !k.IsPublic() || !k.Valid() {
				t.Errorf("%q is let through", text)
			}
		}
	})
}
