package api

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Call is one request, as a route's handler sees it.
type Call struct {
	Ctx      context.Context
	Accounts *authcore.Accounts
	Actor    authcore.Actor
	Limit    int              // of a list
	After    string           // the key after which a list goes on; empty for its beginning
	Order    authcore.Order   // of a list; empty for its own
	Origin   string           // of the pages, for links
	Service  authcore.Service // whose API key asks

	route  *Route
	server *Server
	places map[string]string
	slug   string // of the organization of Service
	query  url.Values
}

// Slug is the organization in the path, or that of the service that asks.
func (c *Call) Slug() string { return cmp.Or(c.slug, c.places["slug"]) }

// Place is what stands in a place of the path.
func (c *Call) Place(name string) string { return c.places[name] }

// User is the user in the path.
func (c *Call) User() authcore.UserID { return authcore.UserID(c.places["id"]) }

// Session is the session in the path.
func (c *Call) Session() authcore.SessionID { return authcore.SessionID(c.places["id"]) }

// Param is a parameter of the query, which has the form that the route says; empty where
// it is missing.
func (c *Call) Param(name string) string { return c.query.Get(name) }

// Time is a parameter with a time; zero where it is missing.
func (c *Call) Time(name string) time.Time {
	t, _ := time.Parse(time.RFC3339, c.query.Get(name))
	return t
}

// Page is an answer with a part of a list.
type Page[A any] struct {
	Items []A
	Next  string // key after which the next page begins; empty after the last
}

// paged is what becomes of a Page.
func (p Page[A]) paged() (items any, next string) {
	if p.Items == nil {
		return []A{}, p.Next
	}
	return p.Items, p.Next
}

// cut makes a page of what was read, one more than there is room for.
func cut[T, A any](c *Call, found []T, key func(T) string, view func(*T) A) Page[A] {
	var p Page[A]
	if len(found) > c.Limit {
		found = found[:c.Limit]
		p.Next = key(found[c.Limit-1])
	}
	for i := range found {
		p.Items = append(p.Items, view(&found[i]))
	}
	return p
}

// The bounds of lists.
const (
	defaultLimit = 50
	maxLimit     = 200
	cursorLife   = 31 * 24 * time.Hour
	maxText      = 254 // bytes of a parameter
)

func invalid(code, field, message string) error {
	return &authcore.Error{Kind: authcore.Invalid, Code: code, Field: field, Message: message}
}

// readQuery checks the parameters of a request.
func (c *Call) readQuery(raw string) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return invalid("parameter_invalid", "", "The query cannot be read.")
	}
	c.query, c.Limit = query, defaultLimit
	for name, values := range query {
		at := slices.IndexFunc(c.route.Params, func(p Param) bool { return p.Name == name })
		paging := c.route.Do.list && (name == "limit" || name == "after" || name == "sort" && c.route.Orders != nil)
		switch {
		case at < 0 && !paging:
			return invalid("parameter_unknown", short(name), "There is no such parameter here.")
		case len(values) > 1:
			return invalid("parameter_invalid", name, "This parameter can be given once only.")
		case at >= 0 && !c.route.Params[at].holds(values[0]):
			return invalid("parameter_invalid", name, c.route.Params[at].asks())
		}
	}
	if text := query.Get("limit"); query.Has("limit") {
		if c.Limit, err = strconv.Atoi(text); err != nil || c.Limit < 1 || c.Limit > maxLimit {
			return invalid("limit_invalid", "limit", "A limit is a number from 1 to 200.")
		}
	}
	if query.Has("sort") {
		sort := Param{Form: Word, Values: words(c.route.Orders)}
		if !sort.holds(query.Get("sort")) {
			return invalid("parameter_invalid", "sort", sort.asks())
		}
		c.Order = authcore.Order(query.Get("sort"))
	}
	if text := query.Get("after"); text != "" {
		plain, err := c.server.Cursors.Open(text, cursorLife)
		id, key, ok := strings.Cut(string(plain), " ")
		if err != nil || !ok || id != c.list() {
			return invalid("cursor_invalid", "after", "This is no cursor of this list in this order: take it from next as it is, and begin anew where it is too old.")
		}
		c.After = key
	}
	return nil
}

// page asks for a page of a list without filters, and one row more.
func (c *Call) page() authcore.ListQuery {
	return authcore.ListQuery{Order: c.Order, After: c.After, Limit: c.Limit + 1}
}

// list names the list of the route, in the order that is asked for.
func (c *Call) list() string {
	if c.Order == "" || c.Order == c.route.Orders[0] {
		return c.route.ID
	}
	return c.route.ID + "," + string(c.Order)
}

// words are orders as a parameter has them.
func words(all authcore.Orders) (texts []string) {
	for _, o := range all {
		texts = append(texts, string(o))
	}
	return texts
}

// cursor seals the key at which a list goes on: it may be somebody's address, and
// cursors come into logs.
func (c *Call) cursor(key string) *string {
	if key == "" {
		return nil
	}
	text := c.server.Cursors.Seal([]byte(c.list() + " " + key))
	return &text
}

func (p *Param) holds(text string) bool {
	switch p.Form {
	case Word:
		return slices.Contains(p.Values, text)
	case ID:
		return isID(text)
	case Time:
		_, err := time.Parse(time.RFC3339, text)
		return err == nil
	}
	return len(text) <= maxText && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

func (p *Param) asks() string {
	switch p.Form {
	case Word:
		return "This can be: " + strings.Join(p.Values, ", ") + "."
	case ID:
		return "This is an id, such as 0190a000-0000-7000-8000-000000000001."
	case Time:
		return "This is a time such as 2026-01-31T12:00:00Z."
	}
	return "This can have 254 bytes at most, and no control characters."
}

// isID tells whether a text is written as ids are.
func isID(text string) bool { return len(text) == 36 && uuid.Validate(text) == nil }

// short cuts a name that a client made up.
func short(name string) string {
	name = strings.ToValidUTF8(name, "")
	return strings.ToValidUTF8(name[:min(len(name), 64)], "")
}

// named tells whether what stands in a place is a short name; else it is an id.
func named(place string) bool {
	return place == "slug" || place == "role" || place == "tier" || place == "provider"
}

// checkPlaces refuses what can be no name, before a database is asked for it.
func (c *Call) checkPlaces() error {
	if slug, ok := c.places["slug"]; ok && authcore.CheckSlug(slug) != nil {
		return authcore.ErrOrganizationNotFound
	}
	for name, text := range c.places {
		if name != "slug" && (named(name) && authcore.CheckSlug(text) != nil || !named(name) && !isID(text)) {
			return ErrNotFound
		}
	}
	return nil
}

// admit refuses who has no business in the realm of the route, whatever is asked: nobody
// learns more from an error in a body. What the actor may do there, the services decide.
func (c *Call) admit() error {
	switch c.route.Realm {
	case Platform:
		return c.Accounts.MayRunPlatform(c.Ctx, c.Actor)
	case Organization:
		_, err := c.Accounts.Standing(c.Ctx, c.Actor, c.Slug())
		return err
	case Service:
		s, o, err := c.Accounts.ServiceOf(c.Ctx, c.Actor)
		c.Service = s
		c.slug = o.Slug
		return err
	}
	return nil
}

// Refusal is an error of the protocol.
type Refusal struct {
	Status        int
	Code, Message string
	Allow         string // for 405
}

func (e *Refusal) Error() string { return e.Message }

// The refusals.
var (
	ErrNotFound    = &Refusal{Status: http.StatusNotFound, Code: "not_found", Message: "There is nothing at this address."}
	errTooLarge    = &Refusal{Status: http.StatusRequestEntityTooLarge, Code: "body_too_large", Message: "The body can have 64 KiB at most."}
	errContentType = &Refusal{Status: http.StatusUnsupportedMediaType, Code: "content_type", Message: "Send JSON, with Content-Type: application/json."}
	errBadBody     = &Refusal{Status: http.StatusBadRequest, Code: "bad_body", Message: "The body is not one JSON object."}
)
