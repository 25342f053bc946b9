package console

import (
	"context"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func showAudit(ctx context.Context, v *Visit) (Page, error) {
	return v.audit(ctx, v.onPlatform("Audit log"), func(q authcore.EventQuery) (authcore.EventPage, error) { return v.Accounts.Events(ctx, v.Actor, q) })
}

func showOrganizationAudit(ctx context.Context, v *Visit) (Page, error) {
	return v.audit(ctx, v.inOrganization("Audit log"), func(q authcore.EventQuery) (authcore.EventPage, error) {
		return v.Accounts.OrganizationEvents(ctx, v.Actor, v.slug, q)
	})
}

// audit completes a page of an audit log.
func (v *Visit) audit(ctx context.Context, p Page, find func(authcore.EventQuery) (authcore.EventPage, error)) (Page, error) {
	order, sort := v.sorted(sortBy, authcore.EventOrders, headings{"Time": byTime})
	q := authcore.EventQuery{Action: authcore.Action(v.Query.Get("action")), Outcome: authcore.Outcome(v.Query.Get("outcome")), Actor: authcore.UserID(v.Query.Get("actor")), Order: order, After: v.after(), Limit: PerPage}
	var err error
	if q.Since, err = day(v.Query.Get("since"), 0); err == nil {
		q.Until, err = day(v.Query.Get("until"), 1)
	}
	if err != nil {
		return p, err
	}
	found, err := find(q)
	if err != nil {
		return p, err
	}
	p.Parts = append(p.Parts, Part{ID: "events", Title: "Events", About: "Times are UTC.", Table: eventTable(ctx, v, found, q.Outcome, sort)})
	return p, nil
}

// day reads a date, so many days later.
func day(text string, later int) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return t, &authcore.Error{Kind: authcore.Invalid, Code: "date_invalid", Message: "A day is written like 2030-01-31."}
	}
	return t.AddDate(0, 0, later), nil
}

// eventTable is a page of the audit log.
func eventTable(ctx context.Context, v *Visit, found authcore.EventPage, outcome authcore.Outcome, sort map[string]Heading) *Table {
	t := &Table{Search: &Search{Kept: v.kept(), Fields: []Field{
		{Name: "action", Label: "Action", Value: v.Query.Get("action"), Optional: true, Hint: "user.login, member.set, …"},
		{Name: "actor", Label: "Id of the user who did it", Value: v.Query.Get("actor"), Optional: true},
		choice("outcome", "Outcome", string(outcome), "", "success", "failure", "refused"),
		{Name: "since", Label: "From", Kind: Date, Value: v.Query.Get("since"), Optional: true}, {Name: "until", Label: "To", Kind: Date, Value: v.Query.Get("until"), Optional: true}}},
		Columns: []string{"Time", "Action", "Outcome", "Who", "To what", "Details"}, Sort: sort, Empty: "Nothing like that."}
	t.goesOn(v, found.Next)
	for _, e := range found.Events {
		who := Cell{Text: string(e.Actor.Kind)}
		if e.Actor.User != "" {
			who.Text = v.nameOf(ctx, e.Actor.User)
		}
		if e.Actor.Act != "" {
			who.Text += ", by " + v.nameOf(ctx, e.Actor.Act)
		}
		if e.Actor.Client.Address != "" {
			who.Text += ", " + e.Actor.Client.Address
		}
		to := e.Target
		if id, ok := strings.CutPrefix(to, "user:"); ok {
			to = v.nameOf(ctx, authcore.UserID(id))
		} else if to == authcore.TargetOrganization(v.stands.Organization.ID) {
			to = v.slug
		}
		t.Rows = append(t.Rows, Row{Cells: []Cell{{Time: e.Time}, {Text: string(e.Action), Code: true}, status(string(e.Outcome)), who, {Text: to}, {Text: e.Details}}})
	}
	return t
}

// nameOf is what a user is called; the id where there is no such user any more.
func (v *Visit) nameOf(ctx context.Context, id authcore.UserID) string {
	if name, ok := v.names[id]; ok {
		return name
	}
	name := string(id)
	if u, _, err := v.Accounts.Store.UserByID(ctx, id); err == nil {
		name = u.Username
	}
	if v.names == nil {
		v.names = make(map[authcore.UserID]string)
	}
	v.names[id] = name
	return name
}
