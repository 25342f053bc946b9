package connect

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func newAppleKey(t testing.TB) AppleKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return AppleKey{Team: "TEAM123456", ID: "KEY1234567", Key: inPEM(t, "PRIVATE KEY", key)}
}

func inPEM(t testing.TB, kind string, key any) authcore.Secret {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return authcore.Secret(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// The secret has what Apple asks for, and no more: who sees one can use it for minutes.
func TestAppleSecret(t *testing.T) {
	t.Parallel()
	k := newAppleKey(t)
	key, err := parseKey(k.Key)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Truncate(time.Second)
	text, err := k.secret(client, now)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := token.Claims(key.Public(), &claims); err != nil {
		t.Fatal(err)
	}
	if h := token.Headers[0]; h.KeyID != k.ID || h.Algorithm != "ES256" {
		t.Errorf("the header is %+v", h)
	}
	want := map[string]any{"iss": k.Team, "sub": client, "aud": "https://appleid.apple.com", "iat": float64(now.Unix()), "exp": float64(now.Add(5 * time.Minute).Unix())}
	for name, value := range want {
		if claims[name] != value {
			t.Errorf("%s is %v, want %v", name, claims[name], value)
		}
	}
	if len(claims) != len(want) || appleSecretLife > 15777000*time.Second {
		t.Errorf("the claims are %v", claims)
	}
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	good := newAppleKey(t).Key.Reveal()
	wide, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := parseKey(authcore.Secret(good))
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(p256)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(good), "\n")
	for name, text := range map[string]authcore.Secret{
		"nothing": "", "no PEM": "MIGTAgEAMBMGByqGSM49", "only the middle": authcore.Secret(strings.Join(lines[1:len(lines)-1], "\n")),
		"cut off": authcore.Secret(strings.Join(append(lines[:2:2], lines[len(lines)-1]), "\n")), "RSA": inPEM(t, "PRIVATE KEY", recordedKey()),
		"P-384": inPEM(t, "PRIVATE KEY", wide), "Ed25519": inPEM(t, "PRIVATE KEY", edwards),
		"SEC 1": authcore.Secret(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})),
	} {
		key, err := parseKey(text)
		if err == nil || key != nil {
			t.Errorf("%s is taken", name)
			continue
		}
		for _, line := range lines[1 : len(lines)-1] {
			if raw, _ := base64.StdEncoding.DecodeString(line); strings.Contains(err.Error(), line) || len(raw) > 0 && strings.Contains(err.Error(), string(raw)) {
				t.Errorf("%s: the error shows the key: %v", name, err)
			}
		}
	}
}
