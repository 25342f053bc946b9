package console

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Base is the path of all that is ours.
const Base = "/.gate/"

// Visit is one request for a page, or one form that was sent to it.
type Visit struct {
	Accounts *authcore.Accounts
	Actor    authcore.Actor
	User     *authcore.User
	Host     string // of the pages
	Origin   string // of the pages, for links in messages
	Path     string // under Base
	Query    url.Values
	Form     url.Values // nil for a page that is asked for
	Now      time.Time
	Ready    func(context.Context) error // tells whether all that is needed answers

	id     string            // the second part of the path that names something
	slug   string            // of the organization
	stands authcore.Standing // there
	secret *Secret           // made by the form
	enter  *Result           // with the session that the form began
	failed error             // of the form
	names  map[authcore.UserID]string
}

// A Result is what comes of a visit: a page, or where to go on to.
type Result struct {
	Page     *Page
	Redirect string
	Error    error // of the form, to be said on the page

	// Session is one that the browser is in from now on, and Token its token; nil for none.
	Session *authcore.Session
	Token   authcore.Secret
}

// deed is what a form does. It gives the name of what was done, for the notice; where a
// secret was made, the page is shown at once, and again it is lost.
type deed func(ctx context.Context, v *Visit) (done string, err error)

// errUnknownDeed is for a form that no page of ours has.
var errUnknownDeed = &authcore.Error{Kind: authcore.Invalid, Code: "form_invalid", Message: "This form is not known. Load the page again."}

// errConfirm is for somebody who has not typed what was asked for.
var errConfirm = &authcore.Error{Kind: authcore.Invalid, Code: "not_confirmed", Field: "confirm", Message: "Type the name to confirm."}

// Serve makes a page, or does what a form says. The errors are those of the services; one
// of a form is in the result, where the page can still be shown.
func (v *Visit) Serve(ctx context.Context) (Result, error) {
	p, slug, id := find(v.Path)
	if p == nil {
		return Result{}, &authcore.Error{Kind: authcore.NotFound, Code: "not_found", Message: "There is nothing at this address."}
	}
	v.slug, v.id = slug, id
	if p.platform {
		if err := v.Accounts.MayRunPlatform(ctx, v.Actor); err != nil {
			return Result{}, err
		}
	}
	if slug != "" {
		var err error
		if v.stands, err = v.Accounts.Standing(ctx, v.Actor, slug); err != nil && !p.platform {
			return Result{}, err
		}
	}
	if v.Form != nil {
		to, err := v.do(ctx, p)
		var known *authcore.Error
		switch {
		case err == nil && v.enter != nil:
			v.enter.Redirect = to
			return *v.enter, nil
		case err == nil && v.secret == nil:
			return Result{Redirect: to}, nil
		case err != nil && (!errors.As(err, &known) || known.Kind == authcore.Unavailable || known.Kind == authcore.Internal || known.Kind == authcore.NotFound && known.Code == "organization_not_found"):
			return Result{}, err
		}
		v.failed = err
		if v.slug != "" && err == nil { // what was done may have changed it
			if v.stands, err = v.Accounts.Standing(ctx, v.Actor, v.slug); err != nil && !p.platform {
				return Result{}, err
			}
		}
	}
	made, err := p.show(ctx, v)
	if err != nil {
		if v.failed != nil { // the form's says more
			err = v.failed
		}
		return Result{}, err
	}
	v.point(&made)
	return Result{Page: &made, Error: v.failed}, nil
}

// do carries out the deed of a form, and gives where to go on to.
func (v *Visit) do(ctx context.Context, p *page) (to string, err error) {
	f, ok := p.deeds[v.Form.Get("do")]
	if !ok {
		return "", errUnknownDeed
	}
	done, err := f(ctx, v)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(done, Base) {
		return done, nil
	}
	return Base + v.Path + "?done=" + url.QueryEscape(done), nil
}

// point puts the message of a form's error under the field that it is about, and what was
// typed back into the form.
func (v *Visit) point(p *Page) {
	var e *authcore.Error
	errors.As(v.failed, &e)
	if e == nil {
		return
	}
	forms := func(all []Form) {
		for i := range all {
			if !v.sent(&all[i]) {
				continue
			}
			for j := range all[i].Fields {
				f := &all[i].Fields[j]
				f.keep(v.Form)
				if f.Name == e.Field {
					f.Error, p.Pointed = e.Message, true
				}
			}
		}
	}
	for i := range p.Parts {
		forms(p.Parts[i].Forms)
		if t := p.Parts[i].Table; t != nil {
			for j := range t.Rows {
				forms(t.Rows[j].Forms)
			}
		}
	}
}

// sent tells whether a form is the one that was sent.
func (v *Visit) sent(f *Form) bool {
	if f.Do != v.Form.Get("do") {
		return false
	}
	for _, h := range f.Hidden {
		if v.Form.Get(h.Name) != h.Value {
			return false
		}
	}
	return true
}

// keep fills in what was sent.
func (f *Field) keep(form url.Values) {
	f.Value = form.Get(f.Name)
	for i := range f.Options {
		f.Options[i].On = false
		for _, sent := range form[f.Name] {
			f.Options[i].On = f.Options[i].On || sent == f.Options[i].Value
		}
	}
}

// text is one line that was sent, without what stands around it.
func (v *Visit) text(name string) string { return strings.TrimSpace(v.Form.Get(name)) }

// lines are the lines of a field that were sent.
func (v *Visit) lines(name string) []string {
	var all []string
	for line := range strings.Lines(v.Form.Get(name)) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

// confirmed returns an error unless what was asked for has been typed.
func (v *Visit) confirmed(want string) error {
	if v.text("confirm") != want {
		return errConfirm
	}
	return nil
}

// here is the address of this page with other parameters; those that are empty are left out.
func (v *Visit) here(pairs ...string) string {
	q := url.Values{}
	for name, values := range v.Query {
		if name != "done" && name != "after" && len(values) > 0 {
			q.Set(name, values[0])
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			q.Del(pairs[i])
		}
	}
	if len(q) == 0 {
		return Base + v.Path
	}
	return Base + v.Path + "?" + q.Encode()
}

// PerPage is how many rows a page of a list has.
const PerPage = 50

// after is the place behind which the page of a list begins; empty for the first page, and
// for what no database takes as text.
func (v *Visit) after() string {
	after := v.Query.Get("after")
	if !utf8.ValidString(after) || strings.ContainsRune(after, 0) {
		return ""
	}
	return after
}

// sortBy is the parameter that says in which order the list of a page is.
const sortBy = "sort"

// headings are the columns that a list can be sorted by: in the first of two orders, and by
// whoever asks again in the second.
type headings map[string][2]authcore.Order

// byName, byTime and byStatus are the orders of headings.
var (
	byName   = [2]authcore.Order{authcore.ByName, authcore.ByNameDown}
	byTime   = [2]authcore.Order{authcore.Newest, authcore.Oldest}
	byStatus = [2]authcore.Order{authcore.ByStatus, authcore.ByStatusDown}
)

// sorted is the order in which a list is asked for by a parameter, with its headings, which
// lead to the first page of the others.
func (v *Visit) sorted(by string, all authcore.Orders, columns headings) (order authcore.Order, sort map[string]Heading) {
	order = all.Of(authcore.Order(v.Query.Get(by)))
	sort = make(map[string]Heading, len(columns))
	for column, orders := range columns {
		to := orders[0]
		if order == to {
			to = orders[1]
		}
		h := Heading{URL: v.here(by, string(to))}
		switch {
		case !slices.Contains(orders[:], order):
		case order.Down():
			h.Now = "descending"
		default:
			h.Now = "ascending"
		}
		sort[column] = h
	}
	return order, sort
}

// kept are the fields by which a search keeps the order of a list.
func (v *Visit) kept() []Field {
	if order := v.Query.Get(sortBy); order != "" {
		return []Field{{Name: sortBy, Value: order}}
	}
	return nil
}

// goesOn says where the first page of a list is, and the one that begins behind a place;
// empty after the last.
func (t *Table) goesOn(v *Visit, next string) {
	if v.after() != "" {
		t.First = v.here()
	}
	if next != "" {
		t.Next = v.here("after", next)
	}
}

// paged completes a table: where the first page is, and the next, of a list of which one
// more row was read than a page has. place is where a row stands in the list.
func paged[T any](v *Visit, t *Table, all []T, place func(T) string, row func(T) Row) *Table {
	next := ""
	if len(all) > PerPage {
		all = all[:PerPage]
		next = place(all[PerPage-1])
	}
	t.goesOn(v, next)
	for _, one := range all {
		t.Rows = append(t.Rows, row(one))
	}
	return t
}
