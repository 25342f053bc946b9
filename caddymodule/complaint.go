package caddymodule

import (
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// complainEvery is how often trouble that goes on is logged again.
const complainEvery = time.Minute

// complaint logs one kind of trouble: when it begins, every minute while it goes
// on, and when it is over.
type complaint struct {
	core *core
	text string

	mu            sync.Mutex
	since, logged time.Time // zero while all is well
}

func (c *core) complaint(text string) *complaint { return &complaint{core: c, text: text} }

// report is told of each failure, and of the first success after one by nil. It
// logs the cause: the sentence around it is meant for visitors.
func (c *complaint) report(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if err == nil {
		if !c.since.IsZero() {
			c.core.log().Info("over: "+c.text, zap.Duration("after", now.Sub(c.since).Round(time.Millisecond)))
		}
		c.since, c.logged = time.Time{}, time.Time{}
		return
	}
	if now.Sub(c.logged) < complainEvery {
		return
	}
	if c.since.IsZero() {
		c.since = now
	}
	c.logged = now
	var ours *authcore.Error
	if errors.As(err, &ours) && errors.Unwrap(ours) != nil {
		err = errors.Unwrap(ours)
	}
	c.core.log().Error(c.text, zap.Error(err))
}
