// Package passkey makes the options of WebAuthn ceremonies and checks what browsers
// answer (Web Authentication Level 3). Every passkey is discoverable, and its person
// verified: it is a first factor and a second one at once.
package passkey

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Settings say where passkeys are good. The zero value makes them good on the host of
// the page alone.
type Settings struct {
	Off     bool
	Domain  string   // of which all pages are, or related to; empty for the host of each page
	Origins []string // related ones: pages of other domains (section 5.11)
}

// Party is a relying party: who asks, and from which pages.
type Party struct {
	Domain string // its id
	Name   string // as the browser may show it
	Origin string // of the page
}

// Party gives the relying party of a page, by its origin; false where a browser would
// offer no passkeys.
func (s Settings) Party(origin, name string) (Party, bool) {
	u, err := url.Parse(origin)
	if err != nil || s.Off {
		return Party{}, false
	}
	host := u.Hostname()
	if host == "" || net.ParseIP(host) != nil || u.Scheme != "https" && host != "localhost" && !strings.HasSuffix(host, ".localhost") {
		return Party{}, false
	}
	p := Party{Domain: host, Name: name, Origin: origin}
	if host == s.Domain || strings.HasSuffix(host, "."+s.Domain) && s.Domain != "" || slices.Contains(s.Origins, origin) {
		p.Domain = s.Domain
	}
	return p, true
}

// Ceremony is what has to be remembered from the options to the answer. It is to be
// sealed: nobody may make one up.
type Ceremony struct {
	Data webauthn.SessionData
	User authcore.UserID // whose passkey it has to be, or will be; empty for anybody's
}

// Once is what a ceremony is used up by. life is how long it can be finished.
func (c *Ceremony) Once(now time.Time, life time.Duration) authcore.Code {
	return authcore.OnceOf(authcore.PurposePasskey, c.Data.Challenge, now, 2*life)
}

func (p Party) relying() (*webauthn.WebAuthn, error) {
	yes := true
	return webauthn.New(&webauthn.Config{RPID: p.Domain, RPDisplayName: p.Name, RPOrigins: []string{p.Origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: &yes,
			UserVerification: protocol.VerificationRequired}})
}

// algorithms are those that passkeys may sign with, the best first.
var algorithms = []protocol.CredentialParameter{
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
}

// The sizes of RSA keys, in bytes: 2048 to 4096 bits.
const (
	minModulus  = 256
	maxModulus  = 512
	maxExponent = 4
)

// checkKey refuses a public key with which it would cost much to verify, or for which no
// algorithm was offered.
func checkKey(key []byte) error {
	parsed, err := webauthncose.ParsePublicKey(key)
	if err != nil {
		return err
	}
	switch k := parsed.(type) {
	case webauthncose.EC2PublicKeyData, webauthncose.OKPPublicKeyData:
		return nil
	case webauthncose.RSAPublicKeyData:
		if len(k.Modulus) < minModulus || len(k.Modulus) > maxModulus || len(k.Exponent) == 0 || len(k.Exponent) > maxExponent {
			return fmt.Errorf("an RSA key with a modulus of %d bytes and an exponent of %d", len(k.Modulus), len(k.Exponent))
		}
		if e := new(big.Int).SetBytes(k.Exponent); e.Cmp(big.NewInt(65537)) != 0 {
			return fmt.Errorf("an RSA key with the exponent %s", e)
		}
		return nil
	default:
		return fmt.Errorf("a key of the type %T", parsed)
	}
}

// person is a user as the library asks for it.
type person struct {
	user authcore.User
	keys []authcore.Passkey
}

// WebAuthnID is the user handle: the 16 bytes of the id.
func (p person) WebAuthnID() []byte {
	id, err := uuid.Parse(string(p.user.ID))
	if err != nil {
		return nil
	}
	return id[:]
}

func (p person) WebAuthnName() string        { return p.user.Username }
func (p person) WebAuthnDisplayName() string { return p.user.DisplayName() }

func (p person) WebAuthnCredentials() []webauthn.Credential {
	var all []webauthn.Credential
	for _, k := range p.keys {
		c := webauthn.Credential{ID: k.Credential, PublicKey: k.PublicKey, Authenticator: webauthn.Authenticator{SignCount: k.SignCount},
			Flags: webauthn.CredentialFlags{UserPresent: true, UserVerified: true, BackupEligible: k.BackupEligible, BackupState: k.BackedUp}}
		for _, t := range k.Transports {
			c.Transport = append(c.Transport, protocol.AuthenticatorTransport(t))
		}
		all = append(all, c)
	}
	return all
}

// here are the passkeys that are good for this relying party.
func (p Party) here(all []authcore.Passkey) []authcore.Passkey {
	return slices.DeleteFunc(slices.Clone(all), func(k authcore.Passkey) bool { return k.Domain != p.Domain })
}

// Create gives the options to make a passkey of a user who has some already. A name
// that is not known yet is empty: the page fills it in.
func (p Party) Create(user authcore.User, has []authcore.Passkey) (options []byte, c Ceremony, err error) {
	w, err := p.relying()
	if err != nil {
		return nil, c, err
	}
	who := person{user, p.here(has)}
	creation, data, err := w.BeginRegistration(who, webauthn.WithCredentialParameters(algorithms), webauthn.WithExclusions(webauthn.Credentials(who.WebAuthnCredentials()).CredentialDescriptors()))
	if err != nil {
		return nil, c, err
	}
	options, err = json.Marshal(creation.Response)
	return options, Ceremony{Data: *data, User: user.ID}, err
}

// Created checks a new passkey. Errors are ErrPasskeyRefused, with the cause.
func (p Party) Created(c Ceremony, answer []byte) (authcore.Passkey, error) {
	w, err := p.relying()
	if err != nil {
		return authcore.Passkey{}, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return authcore.Passkey{}, authcore.ErrPasskeyRefused.With(cause(err))
	}
	// No attestation was asked for, so that whatever came is none (section 5.4.7): nothing
	// is computed with keys that somebody made up for that.
	parsed.Response.AttestationObject.Format, parsed.Response.AttestationObject.AttStatement = string(protocol.AttestationFormatNone), nil
	if err := checkKey(parsed.Response.AttestationObject.AuthData.AttData.CredentialPublicKey); err != nil {
		return authcore.Passkey{}, authcore.ErrPasskeyRefused.With(err)
	}
	made, err := w.CreateCredential(person{user: authcore.User{ID: c.User}}, c.Data, parsed)
	if err != nil {
		return authcore.Passkey{}, authcore.ErrPasskeyRefused.With(cause(err))
	}
	k := authcore.Passkey{ID: authcore.PasskeyIDOf(made.ID), User: c.User, Domain: p.Domain, Credential: made.ID, PublicKey: made.PublicKey,
		SignCount: made.Authenticator.SignCount, BackupEligible: made.Flags.BackupEligible, BackedUp: made.Flags.BackupState}
	for _, t := range made.Transport {
		if known := []string{"usb", "nfc", "ble", "smart-card", "hybrid", "internal"}; slices.Contains(known, string(t)) && !slices.Contains(k.Transports, string(t)) {
			k.Transports = append(k.Transports, string(t))
		}
	}
	return k, nil
}

// Ask gives the options to prove a passkey: one of a user's, or anybody's where user
// is empty.
func (p Party) Ask(user authcore.UserID, has []authcore.Passkey) (options []byte, c Ceremony, err error) {
	w, err := p.relying()
	if err != nil {
		return nil, c, err
	}
	allowed := webauthn.Credentials(person{keys: p.here(has)}.WebAuthnCredentials()).CredentialDescriptors()
	if user != "" && len(allowed) == 0 {
		return nil, c, authcore.ErrPasskeyWrong
	}
	assertion, data, err := w.BeginDiscoverableLogin(webauthn.WithAllowedCredentials(allowed))
	if err != nil {
		return nil, c, err
	}
	data.AllowedCredentialIDs = nil // which are allowed is looked up again when it ends
	options, err = json.Marshal(assertion.Response)
	return options, Ceremony{Data: *data, User: user}, err
}

// Answered checks the proof of a passkey and gives it as it is after that. Errors are
// ErrPasskeyWrong, with the cause, and those of find.
func (p Party) Answered(c Ceremony, answer []byte, find func(authcore.PasskeyID) (authcore.Passkey, error)) (authcore.Passkey, error) {
	w, err := p.relying()
	if err != nil {
		return authcore.Passkey{}, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return authcore.Passkey{}, authcore.ErrPasskeyWrong.With(cause(err))
	}
	k, err := find(authcore.PasskeyIDOf(parsed.RawID))
	if err != nil {
		return authcore.Passkey{}, err
	}
	who := person{user: authcore.User{ID: k.User}, keys: []authcore.Passkey{k}}
	switch handle := parsed.Response.UserHandle; {
	case k.Domain != p.Domain:
		return k, authcore.ErrPasskeyWrong.With(fmt.Errorf("the passkey is of %s", k.Domain))
	case c.User != "" && c.User != k.User:
		return k, authcore.ErrPasskeyWrong.With(fmt.Errorf("the passkey is of another user"))
	case c.User == "" && len(handle) == 0, len(handle) > 0 && !bytes.Equal(handle, who.WebAuthnID()):
		return k, authcore.ErrPasskeyWrong.With(fmt.Errorf("the user handle is of another user"))
	}
	data := c.Data
	data.UserID = who.WebAuthnID()
	now, err := w.ValidateLogin(who, data, parsed)
	if err != nil {
		return k, authcore.ErrPasskeyWrong.With(cause(err))
	}
	k.SignCount, k.BackedUp = parsed.Response.AuthenticatorData.Counter, now.Flags.BackupState
	return k, nil
}

// cause is an error of the library with what it says to developers, for the log.
func cause(err error) error {
	if e, ok := err.(*protocol.Error); ok && e.DevInfo != "" {
		return fmt.Errorf("%s: %s", e.Details, e.DevInfo)
	}
	return err
}

// Related is the document that tells browsers which origins may use the passkeys of the
// domain (section 5.11.1); nil where none may besides its own.
func (s Settings) Related() map[string][]string {
	if s.Off || len(s.Origins) == 0 {
		return nil
	}
	return map[string][]string{"origins": s.Origins}
}
