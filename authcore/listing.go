package authcore

import (
	"context"
	"time"
)

// UserQuery asks for users. The zero value asks for all of them.
type UserQuery struct {
	Prefix string // of the username or the email address, in any case; empty for any
	Status Status // empty for any
	Owners bool   // platform owners only
	After  string // UserKey of the last one that was looked at
	Limit  int
}

// UserPage is a page of users. It may hold fewer than were asked for, even none: where
// filters find little, a page ends after so many rows that it takes no longer.
type UserPage struct {
	Users []User // without memberships
	Next  string // After for the next page; empty after the last
}

// SessionQuery asks for portal sessions that live, the newest first.
type SessionQuery struct {
	User   UserID    // empty for everybody's
	Before SessionID // the last one of the page before
	Limit  int
	// Now and IdleBefore tell which live.
	Now, IdleBefore time.Time
}

// UserSession is a portal session with the name of its user.
type UserSession struct {
	Session
	Username string
}

// EventQuery asks for audit events, the newest first.
type EventQuery struct {
	Action Action
	Actor  UserID
	Target string // as Event.Target
	// Organization is the one that the events are about; empty for any and none.
	Organization OrganizationID
	Outcome      Outcome
	// Since and Until bound the time of the event: not before the one, before the other.
	// Zero is no bound.
	Since, Until time.Time
	Before       string // ID of the last one that was looked at
	Limit        int
}

// EventPage is a page of events; as UserPage, it may hold fewer than were asked for.
type EventPage struct {
	Events []Event
	Next   string // Before for the next page; empty after the last
}

// OrganizationQuery asks for organizations in the order of their slugs.
type OrganizationQuery struct {
	Prefix string // of the slug
	Status OrganizationStatus
	Member UserID // only those in which this user has a place
	After  string // a slug
	Limit  int
}

// ListingStore reads lists, a page at a time, in a time that does not grow with them.
type ListingStore interface {
	// FindUsers reads a page of users: those of a prefix in the order of the names that
	// match, else in that of their usernames.
	FindUsers(ctx context.Context, q UserQuery) (UserPage, error)
	// FindSessions reads a page of portal sessions.
	FindSessions(ctx context.Context, q SessionQuery) ([]UserSession, error)
	// FindEvents reads a page of events.
	FindEvents(ctx context.Context, q EventQuery) (EventPage, error)
	// FindOrganizations reads a page of organizations.
	FindOrganizations(ctx context.Context, q OrganizationQuery) ([]Organization, error)
}
