package authcore

import (
	"context"
	"crypto/rand"
	"hash/crc32"
	"math/big"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// AccessToken lets a machine act as a user, where its grant and the policies let it.
// In memory it is a session that no cookie stands for.
type AccessToken struct {
	ID        SessionID // a UUIDv7; not a secret
	UserID    UserID
	Username  string // of the user, where tokens are listed
	Name      string // what it is for, in its user's words
	Grant     access.Grant
	CreatedAt time.Time
	LastUsed  time.Time // right to within the activity interval; zero: never
	ExpiresAt time.Time
	// SecondFactor says that its user had shown two factors when it was made, or that an
	// operator made it: it governs what asks for them.
	SecondFactor bool
}

// The bounds of access tokens.
const (
	MaxAccessTokens        = 100 // of a user
	MaxAccessTokenLife     = 366 * 24 * time.Hour
	DefaultAccessTokenLife = 90 * 24 * time.Hour
	minAccessLife          = time.Minute
	maxTokenName           = 64 // characters
)

// accessTokenPrefix begins every access token, so that people and scanners know it;
// accessTokenLength is that of the whole: 43 digits of 256 random bits to the base
// 62, and 6 of the CRC-32 (IEEE) of all before.
const (
	accessTokenPrefix = "gate_"
	randomDigits      = 43
	checkDigits       = 6
	accessTokenLength = len(accessTokenPrefix) + randomDigits + checkDigits
	digits62          = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// MakeAccessToken makes the text of an access token from the system's secure random
// source, and its hash.
func MakeAccessToken() (Secret, TokenHash) { return makeChecked(accessTokenPrefix) }

// makeChecked makes a token with a prefix: 256 random bits, and a checksum of all before.
func makeChecked(prefix string) (Secret, TokenHash) {
	var raw [32]byte
	rand.Read(raw[:]) // crypto/rand.Read never fails (Go 1.24)
	return checkedOf(prefix, raw)
}

// checkedOf makes the token of 256 bits.
func checkedOf(prefix string, raw [32]byte) (Secret, TokenHash) {
	number, base, digit := new(big.Int).SetBytes(raw[:]), big.NewInt(int64(len(digits62))), new(big.Int)
	text := make([]byte, len(prefix)+randomDigits+checkDigits)
	copy(text, prefix)
	for i := len(text) - checkDigits - 1; i >= len(prefix); i-- {
		number.DivMod(number, base, digit)
		text[i] = digits62[digit.Int64()]
	}
	putCheck(text)
	return Secret(text), HashToken(string(text))
}

// checked tells whether text is written like a token with a prefix, with the right
// checksum.
func checked(text, prefix string) bool {
	if len(text) != len(prefix)+randomDigits+checkDigits || !strings.HasPrefix(text, prefix) {
		return false
	}
	buf := []byte(text)
	putCheck(buf)
	return string(buf) == text
}

// putCheck writes the last digits of an access token.
func putCheck(text []byte) {
	at := len(text) - checkDigits
	sum := crc32.ChecksumIEEE(text[:at])
	for i := len(text) - 1; i >= at; i-- {
		text[i] = digits62[sum%uint32(len(digits62))]
		sum /= uint32(len(digits62))
	}
}

// PlausibleAccessToken tells whether text is written like an access token, with the
// right checksum: anything else no database is asked for.
func PlausibleAccessToken(text string) bool {
	if len(text) != accessTokenLength || !strings.HasPrefix(text, accessTokenPrefix) {
		return false
	}
	var buf [accessTokenLength]byte
	copy(buf[:], text)
	putCheck(buf[:])
	return string(buf[:]) == text
}

// session is an access token as the cache of sessions keeps it. It has no host: its
// grant says where it is good.
func (t *AccessToken) session() Session {
	s := Session{ID: t.ID, Root: t.ID, UserID: t.UserID, CreatedAt: t.CreatedAt, LastSeen: t.LastUsed, ExpiresAt: t.ExpiresAt, Access: t}
	if s.LastSeen.IsZero() {
		s.LastSeen = time.UnixMicro(0)
	}
	return s
}

// LookupAccessToken finds what an access token stands for, from memory where it can. Its
// errors are those of Lookup.
func (s *Sessions) LookupAccessToken(ctx context.Context, token string, now time.Time) (*Live, error) {
	if !PlausibleAccessToken(token) {
		return nil, ErrNoSession
	}
	live, err := s.find(ctx, token, now, noIdle, s.readAccess)
	if err == nil && live.Session.Issued != nil { // whose grant says nothing of places
		return nil, ErrNoSession
	}
	return live, err
}

// IssuedToken is an access token that the provider issued to a service, as memory keeps it.
type IssuedToken struct {
	ClientID     string
	Service      ServiceID
	Organization OrganizationID // of the service
	Session      SessionID      // at the service; empty where it acts for itself
	Audience     []string       // the provider, or sites
	Scopes       []string
	KeyHash      string // the thumbprint to which it is bound (RFC 9449); empty for none
	Introspected []byte // the answer to who asks about it (RFC 7662), in JSON
}

// LookupIssued finds what a token of the provider stands for, from memory where it can; else
// by read. Its errors are those of Lookup.
func (s *Sessions) LookupIssued(ctx context.Context, token string, now time.Time, read func(context.Context, TokenHash) (Session, User, error)) (*Live, error) {
	return s.find(ctx, token, now, noIdle, read)
}

// Generation grows with every change that this node hears of. What was read before one may
// be of before.
func (s *Sessions) Generation() uint64 { return s.gen.Load() }

// Current returns ErrUnavailable where this node has heard nothing from the database for too
// long to answer from memory.
func (s *Sessions) Current(ctx context.Context, now time.Time) error { return s.current(ctx, now) }

// noIdle is longer than any time between two uses.
const noIdle = 100 * 366 * 24 * time.Hour

func (s *Sessions) readAccess(ctx context.Context, hash TokenHash) (Session, User, error) {
	t, u, err := s.reader.AccessTokenByHash(ctx, hash)
	if err != nil {
		return Session{}, User{}, err
	}
	return t.session(), u, nil
}

// NewAccessToken is what an access token is made of.
type NewAccessToken struct {
	Name         string
	Grant        access.Grant
	Life         time.Duration // at most MaxAccessTokenLife
	SecondFactor bool          // its user has shown two factors
}

func (n *NewAccessToken) validate() error {
	bad := func(field, msg string) error {
		return &Error{Kind: Invalid, Code: "token_" + field + "_invalid", Field: "token_" + field, Message: msg}
	}
	switch count := utf8.RuneCountInString(n.Name); {
	case count == 0:
		return bad("name", "Please say what the token is for.")
	case count > maxTokenName || hasControl(n.Name) || !utf8.ValidString(n.Name):
		return bad("name", "The name of a token can have 64 characters at most, and no control characters.")
	case n.Life < minAccessLife || n.Life > MaxAccessTokenLife:
		return &Error{Kind: Invalid, Code: "token_life_invalid", Field: "days", Message: "An access token can be good for a minute at least and 366 days at most."}
	}
	if err := n.Grant.Validate(); err != nil {
		return bad("grant", sentence(err.Error()))
	}
	return nil
}

// sentence makes an error's text one for people.
func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] + "." }

// CreateAccessToken makes an access token of a user and gives its text, which
// nothing can show again.
func (a *Accounts) CreateAccessToken(ctx context.Context, actor Actor, user UserID, n NewAccessToken) (Secret, AccessToken, error) {
	if err := actor.inPerson(); err != nil {
		return "", AccessToken{}, err
	}
	n.Name = strings.TrimSpace(n.Name)
	if err := n.validate(); err != nil {
		return "", AccessToken{}, err
	}
	text, hash := MakeAccessToken()
	now := a.Now()
	t := AccessToken{ID: NewSessionID(), UserID: user, Name: n.Name, Grant: n.Grant, CreatedAt: now, ExpiresAt: now.Add(n.Life), SecondFactor: n.SecondFactor || actor.Kind == ActorCommand}
	post, err := a.tellOf(ctx, user, Letter{Kind: MailToken, Token: t.Name})
	if err == nil {
		err = a.Store.CreateAccessToken(ctx, t, hash, a.event(actor, TokenCreate, TargetToken(t.ID), Success, t.Name), post...)
	}
	if err != nil {
		return "", AccessToken{}, err
	}
	return text, t, nil
}

// AccessTokens lists the access tokens of a user, or of all where user is empty, as
// AccessStore does, with the times of last use that memory knows better.
func (a *Accounts) AccessTokens(ctx context.Context, user UserID, after SessionID, limit int) ([]AccessToken, error) {
	all, err := a.Store.AccessTokens(ctx, user, after, limit)
	for i := range all {
		t := &all[i]
		if seen := a.Sessions.lastSeen(t.session()); seen.UnixMicro() > 0 {
			t.LastUsed = seen
		}
	}
	return all, err
}

// RevokeAccessToken ends an access token. A user can end only their own; the command
// line any.
func (a *Accounts) RevokeAccessToken(ctx context.Context, actor Actor, id SessionID) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	if !id.plausible() {
		return ErrTokenNotFound
	}
	err := a.Store.RevokeAccessToken(ctx, id, actor.User, a.event(actor, TokenRevoke, TargetToken(id), Success, ""))
	if err == nil || ErrTokenNotFound.is(err) { // what the database has not, memory must not honour
		a.changed(ChangeSession, string(id))
	}
	return err
}

// RevokeAccessTokens ends all access tokens of a user and tells how many.
func (a *Accounts) RevokeAccessTokens(ctx context.Context, actor Actor, user UserID) (int, error) {
	if err := actor.inPerson(); err != nil {
		return 0, err
	}
	all, err := a.Store.AccessTokens(ctx, user, "", MaxAccessTokens)
	n := 0
	for _, t := range all {
		if err := a.RevokeAccessToken(ctx, actor, t.ID); err == nil {
			n++
		} else if !ErrTokenNotFound.is(err) {
			return n, err
		}
	}
	return n, err
}
