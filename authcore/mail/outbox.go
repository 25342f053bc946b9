package mail

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Store keeps the messages that wait.
type Store interface {
	// MailsDue lists messages that are due, those that have waited longest first.
	MailsDue(ctx context.Context, now time.Time, limit int) ([]authcore.Mail, error)
	// ClaimMail counts a try to send a message, and puts the next one off until a time.
	// Of several who would send it, one is told that it may.
	ClaimMail(ctx context.Context, m authcore.Mail, next time.Time) (ours bool, err error)
	// DeleteMail deletes a message: it was sent, or given up. ev may be nil.
	DeleteMail(ctx context.Context, id authcore.MailID, ev *authcore.Event) error
	// TakeLease makes holder the one who sends, for a time by the database's clock,
	// unless another is.
	TakeLease(ctx context.Context, name, holder string, d time.Duration) (bool, error)
	// DropLease gives the lease back before its time is over.
	DropLease(ctx context.Context, name, holder string) error
}

// Outbox sends the messages that wait in the database, one after another. Of all nodes,
// the one that holds the lease does.
type Outbox struct {
	Store  Store
	Sealer *authcore.Sealer
	Sender interface {
		Send(ctx context.Context, m Message) (answer string, err error)
	}
	Templates *Templates
	Brand     string
	Node      string // names this process in the lease
	Now       func() time.Time
	Trouble   func(error)                       // told of each failure, and by nil that it is over
	Lost      func(m authcore.Mail, why string) // told of each message that is given up

	resting time.Duration // how long the server is left alone, where it did not answer
	until   time.Time
}

const (
	// lookEvery is how often the database is asked what is due. That is one reading of
	// an index; nothing is written while nothing is due.
	lookEvery = time.Second
	// lookLimit is how many messages are read at a time.
	lookLimit = 20
	leaseName = "mail"
	// leaseTime outlasts one message, so that a node that dies keeps the others from
	// sending for that long.
	leaseTime = sendTime + 10*time.Second
	// grace is how long a message that is on its way is waited for when the gate stops.
	// A server that took it without a chance to say so gets it twice.
	grace = 500 * time.Millisecond
	// firstRetry, doubled with each try up to lastRetry, is how long a message waits
	// for another one.
	firstRetry = 5 * time.Second
	lastRetry  = 10 * time.Minute
	// refusedTries is how often a message is tried to be sent that the server refuses
	// for good, in case it does not mean it.
	refusedTries = 3
	// longestRest is for how long a server that does not answer is left alone.
	longestRest = time.Minute
)

// Run sends messages until ctx ends.
func (o *Outbox) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		o.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look sends what is due.
func (o *Outbox) look(ctx context.Context) {
	if o.Now().Before(o.until) {
		return
	}
	due, err := o.Store.MailsDue(ctx, o.Now(), lookLimit)
	if err != nil || len(due) == 0 {
		return // others complain of a database that is away
	}
	for _, m := range due {
		ours, err := o.Store.TakeLease(ctx, leaseName, o.Node, leaseTime)
		if err != nil || !ours {
			return
		}
		if ctx.Err() != nil || !o.send(ctx, m) {
			break
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	_ = o.Store.DropLease(last, leaseName, o.Node) // else it ends by itself
}

// send tries to send one message, and tells whether the next one is worth a try.
func (o *Outbox) send(ctx context.Context, m authcore.Mail) (goOn bool) {
	ours, err := o.Store.ClaimMail(ctx, m, o.Now().Add(retryAfter(m.Tries)))
	if err != nil || !ours {
		return err == nil
	}
	m.Tries++
	l, err := authcore.OpenLetter(o.Sealer, m)
	switch age := o.Now().Sub(m.CreatedAt); {
	case err != nil:
		o.giveUp(ctx, m, err.Error())
		return true
	case !l.Until.IsZero() && o.Now().After(l.Until):
		o.giveUp(ctx, m, "its link had ended before it could be sent")
		return true
	case age > authcore.MailLife:
		o.giveUp(ctx, m, "it could not be sent for too long")
		return true
	}
	err = o.hand(ctx, m, l)
	switch {
	case err == nil:
		o.resting = 0
		o.Trouble(nil)
		return true
	case ctx.Err() != nil:
		return false // it is tried again after the start
	}
	why := withoutSecrets(err.Error(), l)
	o.Trouble(errors.New(why))
	if Refused(err) && m.Tries >= refusedTries {
		o.giveUp(ctx, m, why)
	}
	if unreachable(err) {
		o.resting = min(max(2*o.resting, lookEvery), longestRest)
		o.until = o.Now().Add(o.resting)
		return false
	}
	return true
}

// hand hands a message over to the server. What is on its way when ctx ends has some
// time left to arrive.
func (o *Outbox) hand(ctx context.Context, m authcore.Mail, l authcore.Letter) error {
	msg, err := o.Templates.Render(o.Brand, l)
	if err != nil {
		return err
	}
	msg.ID, msg.At = string(m.ID), m.CreatedAt
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-sending.Done():
		}
	})
	defer stop()
	if _, err := o.Sender.Send(sending, msg); err != nil {
		return err
	}
	// It was taken: that must be kept, or it would be sent again.
	for try := 0; ; try++ {
		err := o.Store.DeleteMail(sending, m.ID, nil)
		if err == nil || try == deleteTries || sending.Err() != nil {
			return nil
		}
		pause(sending, deletePause)
	}
}

const (
	deleteTries = 60
	deletePause = time.Second
)

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// giveUp deletes a message that cannot be sent, which must not be overlooked.
func (o *Outbox) giveUp(ctx context.Context, m authcore.Mail, why string) {
	why = strings.Join(strings.Fields(why), " ")
	ev := authcore.NewEvent(o.Now(), authcore.Actor{Kind: authcore.ActorSystem}, authcore.MailLost, authcore.TargetMail(m), authcore.Failure, string(m.Kind)+": "+why)
	if err := o.Store.DeleteMail(ctx, m.ID, &ev); err == nil {
		o.Lost(m, ev.Details)
	}
}

// retryAfter is how long a message waits for another try.
func retryAfter(tries int) time.Duration {
	return min(firstRetry<<min(tries, 20), lastRetry)
}
