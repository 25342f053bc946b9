package authcore

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// SessionID is a UUIDv7 in its text form. It is not a secret: the token is.
type SessionID string

// NewSessionID makes an id.
func NewSessionID() SessionID { return SessionID(newID()) }

// Session is a sign-in that can be revoked.
//
// A portal session is a root: it was made by a sign-in. A site session is its
// child on one gated host, handed over by a one-time code; it shares its root's
// idle time and ends with it.
type Session struct {
	ID        SessionID
	Root      SessionID // its own ID for a root
	UserID    UserID
	Host      string   // the host its cookie lives on
	AMR       []string // how the person proved who they are (RFC 8176)
	AuthTime  time.Time
	CreatedAt time.Time
	LastSeen  time.Time // of the root: right to within the activity interval
	ExpiresAt time.Time // absolute end
	Address   string    // where it was made
	Agent     string
	Identity  IdentityID // by which the user signed in with a provider; empty for a password
	Provider  string     // the name of that provider
	// ProviderSession is the session at the provider (sid), by which it tells of a
	// sign-out; of a root.
	ProviderSession string
	Access          *AccessToken // that it stands for; nil for what a sign-in made
	Issued          *IssuedToken // that it stands for, of the provider; Access says what it is good for at the gate
	// Act is the platform owner who acts as the user in it; empty in a session of the user's
	// own. Such a session has ended where that owner may not act any more.
	Act UserID
}

// IsRoot tells a portal session from a site session.
func (s *Session) IsRoot() bool { return s.ID == s.Root }

// Proven tells whether the person proved who they are in some way, also of several (RFC 8176).
func (s *Session) Proven(how string) bool { return slices.Contains(s.AMR, how) }

// Lifetime bounds sessions.
type Lifetime struct {
	Idle time.Duration // ends without activity for this long
	Max  time.Duration // ends this long after sign-in, whatever happens
}

// Seen is one last-seen time to be written: the product of many requests.
type Seen struct {
	Session SessionID // a root
	Access  bool      // or rather an access token
	At      time.Time
}

// plausible tells whether an id can be one: anything else no database is asked
// for, since they differ in what they make of it.
func (id SessionID) plausible() bool {
	return uuid.Validate(string(id)) == nil && len(id) == len(uuid.Nil.String())
}
