package authcore

import (
	"context"
	"sync"
	"time"
)

// SignInCount is how many sign-ins had an outcome in an hour.
type SignInCount struct {
	Hour    time.Time // its begin, UTC
	Outcome Outcome
	Count   int
}

// OrganizationSize is how large an organization is.
type OrganizationSize struct {
	Slug              string
	Members, EndUsers int
}

// Statistics are figures of the installation, for those who run it.
type Statistics struct {
	SignIns                                []SignInCount // by hour
	Users, Owners, Sessions, Organizations int
	Top                                    []OrganizationSize // the largest organizations, by members
}

// StatisticsStore counts.
type StatisticsStore interface {
	// Statistics counts what there is, and the sign-ins since a time.
	Statistics(ctx context.Context, since time.Time) (Statistics, error)
}

// The bounds of statistics.
const (
	statisticsFor = 14 * 24 * time.Hour
	statisticsAge = 30 * time.Second
)

// figures are the statistics as they were read last: they look at every row of some tables.
type figures struct {
	mu   sync.Mutex
	last Statistics
	at   time.Time
}

// Statistics gives figures of the installation that are half a minute old at most, with
// the sign-ins of the last two weeks.
func (a *Accounts) Statistics(ctx context.Context, actor Actor) (Statistics, error) {
	if err := a.platform(ctx, actor); err != nil {
		return Statistics{}, err
	}
	f := &a.figures
	f.mu.Lock()
	defer f.mu.Unlock()
	now := a.Now()
	if age := now.Sub(f.at); age >= 0 && age < statisticsAge {
		return f.last, nil
	}
	fresh, err := a.Store.Statistics(ctx, now.Add(-statisticsFor))
	if err == nil {
		f.last, f.at = fresh, now
	}
	return fresh, err
}
