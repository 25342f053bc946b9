package store

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.StatisticsStore = (*DB)(nil)

// topOrganizations is how many of the largest organizations are told.
const topOrganizations = 5

// Statistics implements authcore.StatisticsStore.
func (db *DB) Statistics(ctx context.Context, since time.Time) (authcore.Statistics, error) {
	var s authcore.Statistics
	for query, into := range map[string]*int{"SELECT count(*) FROM users": &s.Users, "SELECT count(*) FROM users WHERE owner = 1": &s.Owners,
		"SELECT count(*) FROM sessions WHERE id = root_id": &s.Sessions, "SELECT count(*) FROM organizations": &s.Organizations} {
		if _, err := db.first(ctx, query, nil, into); err != nil {
			return s, err
		}
	}
	var err error
	s.SignIns, err = collect(db, ctx, func(row scanner, c *authcore.SignInCount) error {
		var hour int64
		err := row.Scan(&hour, (*string)(&c.Outcome), &c.Count)
		c.Hour = time.Unix(hour*3600, 0).UTC()
		return err
	}, "SELECT hour, outcome, sign_ins FROM sign_ins WHERE hour >= ? ORDER BY hour, outcome", since.Unix()/3600)
	if err != nil {
		return s, err
	}
	s.Top, err = collect(db, ctx, func(row scanner, o *authcore.OrganizationSize) error {
		return row.Scan(&o.Slug, &o.Members, &o.EndUsers)
	}, "SELECT o.slug, t.members, (SELECT count(DISTINCT e.user_id) FROM end_users e WHERE e.organization_id = o.id) FROM (SELECT organization_id, count(*) AS members FROM members"+
		" GROUP BY organization_id ORDER BY members DESC, organization_id LIMIT ?) t JOIN organizations o ON o.id = t.organization_id ORDER BY t.members DESC, o.slug", topOrganizations)
	return s, err
}

// countSignIns adds the sign-ins among events that are sealed, which each is once, to the
// counts by hour.
func countSignIns(tx *tx, events []authcore.SealedEvent) error {
	type key struct {
		hour    int64
		outcome authcore.Outcome
	}
	counts := make(map[key]int)
	for i := range events {
		if e := &events[i]; e.Action == authcore.UserLogin {
			counts[key{e.Time.Unix() / 3600, e.Outcome}]++
		}
	}
	for k, n := range counts {
		there, err := affected(tx.exec("UPDATE sign_ins SET sign_ins = sign_ins + ? WHERE hour = ? AND outcome = ?", n, k.hour, k.outcome))
		if err == nil && !there {
			_, err = tx.exec("INSERT INTO sign_ins (hour, outcome, sign_ins) VALUES (?, ?, ?)", k.hour, k.outcome, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
