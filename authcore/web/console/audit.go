package console

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func showAudit(ctx context.Context, v *Visit) (Page, error) {
	p := v.onPlatform("Audit log")
	q := authcore.EventQuery{Action: authcore.Action(v.Query.Get("action")), Outcome: authcore.Outcome(v.Query.Get("outcome")), Actor: authcore.UserID(v.Query.Get("actor")), Before: v.Query.Get("after"), Limit: PerPage}
	var err error
	if q.Since, err = day(v.Query.Get("since"), 0); err == nil {
		q.Until, err = day(v.Query.Get("until"), 1)
	}
	if err != nil {
		return p, err
	}
	found, err := v.Accounts.Events(ctx, v.Actor, q)
	if err != nil {
		return p, err
	}
	p.Parts = append(p.Parts, Part{ID: "events", Title: "Events", About: "The newest first. Times are UTC.", Table: eventTable(v, found, q.Outcome)})
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
func eventTable(v *Visit, found authcore.EventPage, outcome authcore.Outcome) *Table {
	t := &Table{Search: &Search{Fields: []Field{
		{Name: "action", Label: "Action", Value: v.Query.Get("action"), Optional: true, Hint: "user.login, member.set, …"},
		{Name: "actor", Label: "Id of the user who did it", Value: v.Query.Get("actor"), Optional: true},
		choice("outcome", "Outcome", string(outcome), "", "success", "failure", "refused"),
		{Name: "since", Label: "From", Kind: Date, Value: v.Query.Get("since"), Optional: true}, {Name: "until", Label: "To", Kind: Date, Value: v.Query.Get("until"), Optional: true}}},
		Columns: columns("Time", "Action", "Outcome", "Who", "To what", "Details"), Empty: "Nothing like that."}
	if v.Query.Get("after") != "" {
		t.First = v.here()
	}
	if found.Next != "" {
		t.Next = v.here("after", found.Next)
	}
	for _, e := range found.Events {
		who := string(e.Actor.Kind)
		if e.Actor.User != "" {
			who += " " + string(e.Actor.User)
		}
		if e.Actor.Client.Address != "" {
			who += ", " + e.Actor.Client.Address
		}
		t.Rows = append(t.Rows, Row{Cells: []Cell{{Time: e.Time}, {Text: string(e.Action), Code: true}, status(string(e.Outcome)), {Text: who}, {Text: e.Target}, {Text: e.Details}}})
	}
	return t
}
