package passkey

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/descope/virtualwebauthn"
	"github.com/fxamacker/cbor/v2"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

const origin = "https://auth.example.com"

var alice = authcore.User{ID: authcore.NewUserID(), Username: "alice", Name: "Alice"}

// device is an authenticator that nobody here wrote.
type device struct {
	rp   virtualwebauthn.RelyingParty
	auth virtualwebauthn.Authenticator
	cred virtualwebauthn.Credential
}

// newCredential makes a key pair. The library writes a coordinate that begins with a zero byte
// one byte too short (RFC 9053 section 7.1.1), once in 128 times: such a pair is left.
func newCredential() virtualwebauthn.Credential {
	for {
		c := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
		if _, err := webauthncose.ParsePublicKey(c.Key.AttestationData()); err == nil {
			return c
		}
	}
}

func newDevice(t testing.TB, user authcore.User) *device {
	t.Helper()
	return &device{rp: virtualwebauthn.RelyingParty{ID: "auth.example.com", Name: "x", Origin: origin},
		auth: virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{UserHandle: person{user: user}.WebAuthnID()}),
		cred: newCredential()}
}

func (d *device) create(t testing.TB, options []byte) string {
	t.Helper()
	o, err := virtualwebauthn.ParseAttestationOptions(string(options))
	if err != nil {
		t.Fatal(err)
	}
	return virtualwebauthn.CreateAttestationResponse(d.rp, d.auth, d.cred, *o)
}

func (d *device) get(t testing.TB, options []byte) string {
	t.Helper()
	o, err := virtualwebauthn.ParseAssertionOptions(string(options))
	if err != nil {
		t.Fatal(err)
	}
	return virtualwebauthn.CreateAssertionResponse(d.rp, d.auth, d.cred, *o)
}

func party(t testing.TB) Party {
	t.Helper()
	p, ok := Settings{}.Party(origin, "Gatehouse")
	if !ok {
		t.Fatal("no passkeys")
	}
	return p
}

// registered is a passkey of a device.
func registered(t testing.TB, d *device, user authcore.User) authcore.Passkey {
	t.Helper()
	options, c, err := party(t).Create(user, nil)
	if err != nil {
		t.Fatal(err)
	}
	k, err := party(t).Created(c, []byte(d.create(t, options)))
	if err != nil {
		t.Fatalf("%v: %v", err, errors.Unwrap(err))
	}
	return k
}

func finds(all ...authcore.Passkey) func(authcore.PasskeyID) (authcore.Passkey, error) {
	return func(id authcore.PasskeyID) (authcore.Passkey, error) {
		for _, k := range all {
			if k.ID == id {
				return k, nil
			}
		}
		return authcore.Passkey{}, authcore.ErrPasskeyWrong
	}
}

func TestPasskey(t *testing.T) {
	t.Parallel()
	d := newDevice(t, alice)
	d.auth.Options.BackupEligible, d.cred.Counter = true, 3
	k := registered(t, d, alice)
	want := authcore.Passkey{ID: authcore.PasskeyIDOf(d.cred.ID), User: alice.ID, Domain: "auth.example.com", Credential: d.cred.ID,
		PublicKey: k.PublicKey, SignCount: 3, BackupEligible: true}
	if diff := cmp.Diff(want, k); diff != "" {
		t.Errorf("registered (-want +got):\n%s", diff)
	}
	for _, user := range []authcore.UserID{"", alice.ID} {
		options, c, err := party(t).Ask(user, []authcore.Passkey{k})
		if err != nil {
			t.Fatal(err)
		}
		d.cred.Counter, d.auth.Options.BackupState = 4, true
		got, err := party(t).Answered(c, []byte(d.get(t, options)), finds(k))
		if err != nil {
			t.Fatalf("%v: %v", err, errors.Unwrap(err))
		}
		want.SignCount, want.BackedUp = 4, true
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("proven (-want +got):\n%s", diff)
		}
	}
}

// The options say what is wanted: a discoverable key, its person verified, no
// attestation, and none of the keys that there are.
func TestOptions(t *testing.T) {
	t.Parallel()
	k := registered(t, newDevice(t, alice), alice)
	elsewhere := k
	elsewhere.Domain = "example.net"
	options, _, err := party(t).Create(alice, []authcore.Passkey{k, elsewhere})
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		RP                     struct{ ID, Name string }
		User                   struct{ ID, Name, DisplayName string }
		Challenge              string
		PubKeyCredParams       []struct{ Alg int }
		ExcludeCredentials     []struct{ ID string }
		AuthenticatorSelection struct{ ResidentKey, UserVerification string }
		Attestation            string
	}
	if err := json.Unmarshal(options, &o); err != nil {
		t.Fatal(err)
	}
	if o.RP.ID != "auth.example.com" || o.RP.Name != "Gatehouse" || o.User.Name != "alice" || o.User.DisplayName != "Alice" || len(o.ExcludeCredentials) != 1 ||
		o.AuthenticatorSelection.ResidentKey != "required" || o.AuthenticatorSelection.UserVerification != "required" || len(o.PubKeyCredParams) < 3 {
		t.Errorf("%s", options)
	}
	if strings.Contains(string(options), "alice@") {
		t.Error("the address is in the options")
	}
	options, _, err = party(t).Ask("", nil)
	if err != nil || strings.Contains(string(options), "allowCredentials") || !strings.Contains(string(options), `"userVerification":"required"`) {
		t.Errorf("%s %v", options, err)
	}
	if _, _, err = party(t).Ask(alice.ID, []authcore.Passkey{elsewhere}); !errors.Is(err, authcore.ErrPasskeyWrong) {
		t.Errorf("asked for a passkey of another domain: %v", err)
	}
}

// bent is an answer with one part of it changed.
func bent(t testing.TB, answer string, path string, edit func(any) any) string {
	t.Helper()
	var whole map[string]any
	if err := json.Unmarshal([]byte(answer), &whole); err != nil {
		t.Fatal(err)
	}
	at, name := whole, path
	if outer, inner, ok := strings.Cut(path, "."); ok {
		at, name = whole[outer].(map[string]any), inner
	}
	if at[name] = edit(at[name]); at[name] == nil {
		delete(at, name)
	}
	text, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// inside edits the bytes of a part that is base64url.
func inside(edit func([]byte) []byte) func(any) any {
	return func(part any) any {
		b, err := base64.RawURLEncoding.DecodeString(part.(string))
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(edit(b))
	}
}

func replaced(old, new string) func(any) any {
	return inside(func(b []byte) []byte {
		if !strings.Contains(string(b), old) {
			panic("no " + old + " in " + string(b))
		}
		return []byte(strings.Replace(string(b), old, new, 1))
	})
}

func flipped(at int) func(any) any {
	return inside(func(b []byte) []byte {
		if at < 0 {
			at += len(b)
		}
		b[at] ^= 1
		return b
	})
}

func gone(any) any { return nil }

// Every answer that is not wholly right is refused (abuse case M6 and its neighbours).
func TestAnswerRefused(t *testing.T) {
	t.Parallel()
	bob := authcore.User{ID: authcore.NewUserID(), Username: "bob"}
	d, other := newDevice(t, alice), newDevice(t, bob)
	k, theirs := registered(t, d, alice), registered(t, other, bob)
	for name, test := range map[string]struct {
		device func(d *device)
		answer func(string) string
		user   authcore.UserID
		key    func(k *authcore.Passkey)
	}{
		"another origin":             {device: func(d *device) { d.rp.Origin = "https://evil.example" }},
		"http":                       {device: func(d *device) { d.rp.Origin = "http://auth.example.com" }},
		"another port":               {device: func(d *device) { d.rp.Origin = origin + ":8443" }},
		"a name that begins alike":   {device: func(d *device) { d.rp.Origin = origin + ".evil.example" }},
		"another domain":             {device: func(d *device) { d.rp.ID = "example.com" }},
		"not verified":               {device: func(d *device) { d.auth.Options.UserNotVerified = true }},
		"not present":                {device: func(d *device) { d.auth.Options.UserNotPresent = true }},
		"backed up, not eligible":    {device: func(d *device) { d.auth.Options.BackupState = true }},
		"eligible all at once":       {device: func(d *device) { d.auth.Options.BackupEligible = true }},
		"another key":                {device: func(d *device) { d.cred.Key = other.cred.Key }},
		"an id that nobody has":      {device: func(d *device) { d.cred.ID = []byte("another") }},
		"the user handle of another": {device: func(d *device) { d.auth.Options.UserHandle = other.auth.Options.UserHandle }},
		"the key of another":         {device: func(d *device) { d.cred = other.cred }},
		"no user handle":             {device: func(d *device) { d.auth.Options.UserHandle = nil }},
		"asked of another":           {user: bob.ID},
		"of a domain before":         {key: func(k *authcore.Passkey) { k.Domain = "old.example.com" }},
		"another challenge": {answer: func(a string) string {
			return bent(t, a, "response.clientDataJSON", replaced(`"challenge":"`, `"challenge":"A`))
		}},
		"made, not got": {answer: func(a string) string {
			return bent(t, a, "response.clientDataJSON", replaced("webauthn.get", "webauthn.create"))
		}},
		"in a frame": {answer: func(a string) string {
			return bent(t, a, "response.clientDataJSON", replaced(`{`, `{"crossOrigin":true,`))
		}},
		"one bit of the signature":   {answer: func(a string) string { return bent(t, a, "response.signature", flipped(-1)) }},
		"one bit of the flags":       {answer: func(a string) string { return bent(t, a, "response.authenticatorData", flipped(32)) }},
		"one bit of the counter":     {answer: func(a string) string { return bent(t, a, "response.authenticatorData", flipped(36)) }},
		"one bit of the client data": {answer: func(a string) string { return bent(t, a, "response.clientDataJSON", flipped(5)) }},
		"id is not rawId":            {answer: func(a string) string { return bent(t, a, "id", flipped(0)) }},
		"rawId is not id":            {answer: func(a string) string { return bent(t, a, "rawId", flipped(0)) }},
		"no signature":               {answer: func(a string) string { return bent(t, a, "response.signature", gone) }},
		"no client data":             {answer: func(a string) string { return bent(t, a, "response.clientDataJSON", gone) }},
		"no type":                    {answer: func(a string) string { return bent(t, a, "type", gone) }},
		"nothing":                    {answer: func(string) string { return "" }},
		"null":                       {answer: func(string) string { return "null" }},
		"a list":                     {answer: func(a string) string { return "[" + a + "]" }},
		"and more":                   {answer: func(a string) string { return a + a }},
	} {
		t.Run(name, func(t *testing.T) { // one after another: they share a key, which is no friend of threads
			used, of := *d, k
			if test.device != nil {
				test.device(&used)
			}
			if test.key != nil {
				test.key(&of)
			}
			options, c, err := party(t).Ask("", nil)
			if err != nil {
				t.Fatal(err)
			}
			c.User = test.user
			answer := used.get(t, options)
			if test.answer != nil {
				answer = test.answer(answer)
			}
			_, err = party(t).Answered(c, []byte(answer), finds(of, theirs))
			if !errors.Is(err, authcore.ErrPasskeyWrong) {
				t.Errorf("%v", err)
			}
		})
	}
	// Asked of a user, an authenticator need not say whose it is.
	options, c, err := party(t).Ask(alice.ID, []authcore.Passkey{k})
	if err != nil {
		t.Fatal(err)
	}
	d.auth.Options.UserHandle = nil
	if _, err := party(t).Answered(c, []byte(d.get(t, options)), finds(k)); err != nil {
		t.Errorf("without a user handle: %v: %v", err, errors.Unwrap(err))
	}
}

func TestNewRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		device func(d *device)
		answer func(string) string
	}{
		"another origin":          {device: func(d *device) { d.rp.Origin = "https://evil.example" }},
		"another domain":          {device: func(d *device) { d.rp.ID = "evil.example" }},
		"not verified":            {device: func(d *device) { d.auth.Options.UserNotVerified = true }},
		"not present":             {device: func(d *device) { d.auth.Options.UserNotPresent = true }},
		"backed up, not eligible": {device: func(d *device) { d.auth.Options.BackupState = true }},
		"got, not made": {answer: func(a string) string {
			return bent(t, a, "response.clientDataJSON", replaced("webauthn.create", "webauthn.get"))
		}},
		"another challenge": {answer: func(a string) string {
			return bent(t, a, "response.clientDataJSON", replaced(`"challenge":"`, `"challenge":"A`))
		}},
		"id is not rawId":   {answer: func(a string) string { return bent(t, a, "id", flipped(0)) }},
		"another id inside": {answer: func(a string) string { return bent(t, bent(t, a, "id", flipped(0)), "rawId", flipped(0)) }},
		"nothing":           {answer: func(string) string { return "" }},
	} {
		t.Run(name, func(t *testing.T) { // one after another: they share a key, which is no friend of threads
			d := newDevice(t, alice)
			if test.device != nil {
				test.device(d)
			}
			options, c, err := party(t).Create(alice, nil)
			if err != nil {
				t.Fatal(err)
			}
			answer := d.create(t, options)
			if test.answer != nil {
				answer = test.answer(answer)
			}
			if k, err := party(t).Created(c, []byte(answer)); !errors.Is(err, authcore.ErrPasskeyRefused) {
				t.Errorf("%v %+v", err, k)
			}
		})
	}
}

func TestParty(t *testing.T) {
	t.Parallel()
	set := Settings{Domain: "example.com", Origins: []string{"https://example.net"}}
	for _, test := range []struct {
		settings Settings
		origin   string
		want     string // empty for none
	}{
		{Settings{}, "https://auth.example.com", "auth.example.com"},
		{Settings{}, "https://auth.example.com:8443", "auth.example.com"},
		{Settings{}, "http://localhost:8080", "localhost"},
		{Settings{}, "http://auth.localhost:8080", "auth.localhost"},
		{Settings{}, "http://example.com", ""},
		{Settings{}, "https://192.0.2.1", ""},
		{Settings{}, "https://[2001:db8::1]", ""},
		{Settings{}, "", ""},
		{Settings{Off: true}, "https://auth.example.com", ""},
		{set, "https://example.com", "example.com"},
		{set, "https://auth.example.com", "example.com"},
		{set, "https://notexample.com", "notexample.com"},
		{set, "https://example.net", "example.com"},
		{set, "https://auth.example.net", "auth.example.net"},
	} {
		got, ok := test.settings.Party(test.origin, "x")
		if got.Domain != test.want || ok != (test.want != "") {
			t.Errorf("%s: %q %v, want %q", test.origin, got.Domain, ok, test.want)
		}
	}
}

// Keys with which it would cost much to verify are refused, and those of other kinds.
func TestCheckKey(t *testing.T) {
	t.Parallel()
	rsa := func(modulus int, exponent ...byte) map[int]any {
		return map[int]any{1: 3, 3: -257, -1: bytes.Repeat([]byte{0xf1}, modulus), -2: exponent}
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := ec.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		key  map[int]any
		good bool
	}{
		"P-256":            {map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]}, true},
		"no point":         {map[int]any{1: 2, 3: -7, -1: 1, -2: make([]byte, 32), -3: make([]byte, 32)}, false},
		"Ed25519":          {map[int]any{1: 1, 3: -8, -1: 6, -2: make([]byte, 32)}, true},
		"RSA 2048":         {rsa(256, 1, 0, 1), true},
		"RSA 4096":         {rsa(512, 1, 0, 1), true},
		"RSA 1024":         {rsa(128, 1, 0, 1), false},
		"RSA, huge":        {rsa(20_000, 1, 0, 1), false},
		"a large exponent": {rsa(256, 0x7f, 0xff, 0xff, 0xff), false},
		"a huge exponent":  {rsa(256, bytes.Repeat([]byte{0xff}, 256)...), false},
		"no exponent":      {rsa(256), false},
		"no kind":          {map[int]any{3: -7}, false},
	} {
		key, err := cbor.Marshal(test.key)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkKey(key); (err == nil) != test.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever a browser sends is refused, or is the answer.
func FuzzAnswered(f *testing.F) {
	d := newDevice(f, alice)
	k := registered(f, d, alice)
	options, c, err := party(f).Ask("", nil)
	if err != nil {
		f.Fatal(err)
	}
	right := d.get(f, options)
	f.Add(right)
	f.Add(strings.Replace(right, "response", "Response", 1))
	f.Add(`{"id":"AA","rawId":"AA","type":"public-key","response":{}}`)
	f.Fuzz(func(t *testing.T, answer string) {
		got, err := party(t).Answered(c, []byte(answer), finds(k))
		switch {
		case err == nil && (got.ID != k.ID || got.User != k.User || got.SignCount != k.SignCount):
			t.Errorf("%q: %+v", answer, got)
		case err != nil && !errors.Is(err, authcore.ErrPasskeyWrong):
			t.Errorf("%q: %v", answer, err)
		}
	})
}

func FuzzCreated(f *testing.F) {
	options, c, err := party(f).Create(alice, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(newDevice(f, alice).create(f, options))
	f.Add(`{"id":"AA","rawId":"AA","type":"public-key","response":{"attestationObject":"oA","clientDataJSON":"e30"}}`)
	f.Fuzz(func(t *testing.T, answer string) {
		k, err := party(t).Created(c, []byte(answer))
		switch {
		case err == nil && (k.User != alice.ID || len(k.Credential) == 0 || len(k.Credential) > 1023 || len(k.PublicKey) == 0 || k.Domain != "auth.example.com"):
			t.Errorf("%q: %+v", answer, k)
		case err != nil && !errors.Is(err, authcore.ErrPasskeyRefused):
			t.Errorf("%q: %v", answer, err)
		}
	})
}
