package authcore

import (
	"context"
	"slices"
	"strconv"
	"time"
)

// Order is the order of a list. Each list has some; any other word stands for the first of
// them, which is the list's own.
type Order string

// The orders of lists. Names are usernames, short names, or what else its rows are called by.
const (
	ByName       Order = "name"
	ByNameDown   Order = "-name"
	ByStatus     Order = "status" // what waits first, then by name
	ByStatusDown Order = "-status"
	Newest       Order = "newest"
	Oldest       Order = "oldest"
)

// Down tells whether an order is one that goes backwards.
func (o Order) Down() bool { return o == ByNameDown || o == ByStatusDown || o == Newest }

// ByTime tells whether an order is by when the rows came to be.
func (o Order) ByTime() bool { return o == Newest || o == Oldest }

// Orders are those of a list.
type Orders []Order

// The orders that lists have.
var (
	UserOrders         = Orders{ByName, ByNameDown, Newest, Oldest}
	SessionOrders      = Orders{Newest, Oldest}
	EventOrders        = Orders{Newest, Oldest}
	OrganizationOrders = Orders{ByName, ByNameDown, Newest, Oldest, ByStatus, ByStatusDown}
	MemberOrders       = Orders{ByName, ByNameDown, Newest, Oldest}
	InvitationOrders   = Orders{Oldest, Newest}
	ServiceOrders      = Orders{ByName, ByNameDown, Newest, Oldest}
	ServiceKeyOrders   = Orders{Oldest, Newest}
	EndUserOrders      = Orders{ByName, ByNameDown}
	WebhookOrders      = Orders{Oldest, Newest}
	DeliveryOrders     = Orders{Newest, Oldest}
)

// Of is an order as the list has it: the list's own for a word that is none.
func (all Orders) Of(o Order) Order {
	if slices.Contains(all, o) {
		return o
	}
	return all[0]
}

// ListQuery asks for a page of a list that has no filters.
type ListQuery struct {
	Order Order
	After string // id of the last one of the page before
	Limit int
}

// UserQuery asks for users. The zero value asks for all of them.
type UserQuery struct {
	Prefix string // of the username or the email address, in any case; empty for any
	Status Status // empty for any
	Owners bool   // platform owners only
	Order  Order
	After  string // Next of the page before
	Limit  int
}

// UserPage is a page of users. It may hold fewer than were asked for, even none: where
// filters find little, a page ends after so many rows that it takes no longer.
type UserPage struct {
	Users []User // without memberships
	Next  string // After for the next page; empty after the last
}

// SessionQuery asks for portal sessions that live.
type SessionQuery struct {
	User  UserID // empty for everybody's
	Order Order
	After string // id of the last one of the page before
	Limit int
	// Now and IdleBefore tell which live.
	Now, IdleBefore time.Time
}

// UserSession is a portal session with the name of its user.
type UserSession struct {
	Session
	Username string
}

// EventQuery asks for audit events.
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
	Order        Order
	After        string // Next of the page before
	Limit        int
}

// EventPage is a page of events; as UserPage, it may hold fewer than were asked for.
type EventPage struct {
	Events []Event
	Next   string // After for the next page; empty after the last
}

// OrganizationQuery asks for organizations.
type OrganizationQuery struct {
	Prefix string // of the slug
	Status OrganizationStatus
	Member UserID // only those in which this user has a place
	Order  Order
	After  string // Next of the page before
	Limit  int
}

// OrganizationPage is a page of organizations; as UserPage, it may hold fewer than were
// asked for.
type OrganizationPage struct {
	Organizations []Organization
	Next          string // After for the next page; empty after the last
}

// Place is where a user stands in the order of the query: After, for those behind.
func (q UserQuery) Place(u User) string {
	if UserOrders.Of(q.Order).ByTime() {
		return string(u.ID)
	}
	return UsernameKey(u.Username)
}

// Place is where an organization stands in the order of the query.
func (q OrganizationQuery) Place(o Organization) string {
	switch order := OrganizationOrders.Of(q.Order); {
	case order.ByTime():
		return string(o.ID)
	case order == ByStatus || order == ByStatusDown:
		return string(o.Status) + " " + o.Slug
	}
	return o.Slug
}

// Place is where a member stands in the order of the query.
func (q MemberQuery) Place(m Member) string {
	if MemberOrders.Of(q.Order).ByTime() {
		return strconv.FormatInt(m.CreatedAt.UnixMicro(), 10) + " " + string(m.User)
	}
	return UsernameKey(m.Username)
}

// Place is where a service stands in any order of the query.
func (q ServiceQuery) Place(s Service) string { return string(s.ID) + " " + s.Name }

// Place is where an end user stands in any order of the query.
func (q EndUserQuery) Place(u EndUser) string { return UsernameKey(u.Username) }

// ListingStore reads lists, a page at a time, in a time that does not grow with them.
type ListingStore interface {
	// FindUsers reads a page of users. The name of one that is found by a prefix is the one
	// that matches, else it is the username.
	FindUsers(ctx context.Context, q UserQuery) (UserPage, error)
	// FindSessions reads a page of portal sessions.
	FindSessions(ctx context.Context, q SessionQuery) ([]UserSession, error)
	// FindEvents reads a page of events.
	FindEvents(ctx context.Context, q EventQuery) (EventPage, error)
	// FindOrganizations reads a page of organizations.
	FindOrganizations(ctx context.Context, q OrganizationQuery) (OrganizationPage, error)
}
