package webhook

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Store is what the dispatcher needs of a database.
type Store interface {
	// HasWebhooks tells whether there are any.
	HasWebhooks(ctx context.Context) (bool, error)
	// FollowChain makes the deliveries of the next sealed events, and says so in the same
	// transaction. more is true where there may be more.
	FollowChain(ctx context.Context, now time.Time) (made int, more bool, err error)
	// ActiveWebhooks lists all that are told of events.
	ActiveWebhooks(ctx context.Context) ([]authcore.Webhook, error)
	// WaitingDeliveries tells for which webhooks something waits, since when and how much.
	WaitingDeliveries(ctx context.Context) (map[authcore.WebhookID]authcore.Waiting, error)
	// DeliveriesDue lists what is due to a webhook, what has waited longest first.
	DeliveriesDue(ctx context.Context, w authcore.WebhookID, now time.Time, limit int) ([]authcore.Delivery, error)
	// FinishDeliveries writes how tries ended, and which webhooks began or ceased to fail.
	FinishDeliveries(ctx context.Context, all []authcore.Delivery, failing map[authcore.WebhookID]time.Time) error
	// GiveUpDeliveries gives up some of what waits for a webhook that is not active.
	GiveUpDeliveries(ctx context.Context, w authcore.WebhookID, why string) (n int, err error)
	Lease
}

// Lease keeps two nodes from doing the same.
type Lease interface {
	// TakeLease makes holder the one who does something, for a time by the database's
	// clock, unless another is.
	TakeLease(ctx context.Context, name, holder string, d time.Duration) (bool, error)
	// DropLease gives the lease back before its time is over.
	DropLease(ctx context.Context, name, holder string) error
}

const (
	leaseName = "webhooks"
	// leaseTime is how long nobody delivers after a node died; it is renewed every leaseEvery.
	leaseTime  = 15 * time.Second
	leaseEvery = 4 * time.Second
	// lookEvery is how often the database is asked what is due, where nothing wakes the
	// dispatcher. Where the answer takes long it is asked less often.
	lookEvery = time.Second
	lookShare = 10
	// lookPause is how soon it looks again where it was woken meanwhile.
	lookPause = 50 * time.Millisecond
	// serveEvery is after how many steps along the chain what they made is delivered, where
	// there are more.
	serveEvery = 10
	// stepPause is between two steps, so that others have the database's writer and the
	// processors; and so are the beginnings of deliveries apart, all in all no longer than
	// serveSpread.
	stepPause   = 4 * time.Millisecond
	serveSpread = 150 * time.Millisecond
	// pageSize is how many deliveries of one webhook are read at a time, and parallel how
	// many of them are under way at once: one, while it fails.
	pageSize = 64
	parallel = 4
	// flushSize is how many ends of tries one transaction writes, and flushEvery how long
	// one waits for others.
	flushSize  = 100
	flushEvery = 25 * time.Millisecond
	flushPause = 500 * time.Millisecond
	// grace is how long requests that are under way are waited for when the gate stops.
	grace = 500 * time.Millisecond
)

// Dispatcher delivers what waits in the database: as the only node that does, to all
// webhooks at once, so that one that hangs or fails delays no other.
type Dispatcher struct {
	Store  Store
	Sealer *authcore.Sealer // of the secrets
	Client *Client
	Holder string // names this dispatcher in the lease
	Now    func() time.Time
	Bell   *Bell // rings when something may be due
	// Disable stops a webhook that does not work, and tells its owners.
	Disable func(ctx context.Context, id authcore.WebhookID, why string) error
	Trouble func(error) // told of each failure of the database, and by nil that it is over
	Tally   *Tally

	results chan result
	sending context.Context // of requests; ends a little after that of Run
	done    chan authcore.WebhookID
	leased  time.Time // when the lease was taken
	posts   map[authcore.WebhookID]*post
	yielded time.Duration // how long this look let others work
}

// Tally counts since the start. It may outlive a dispatcher.
type Tally struct {
	Delivered, Failed, Lost atomic.Uint64
	Waiting                 atomic.Int64  // as it was last looked at; of the node that delivers
	Told, Missed            atomic.Uint64 // events that collectors have, and tries that failed
}

// post is one webhook, as the dispatcher sees it.
type post struct {
	busy     bool      // a goroutine delivers to it
	more     bool      // something was due meanwhile
	failures int       // in a row
	until    time.Time // it is left alone
}

// settle says that nobody delivers to it any more, and tells whether something was due
// meanwhile.
func (p *post) settle() (more bool) {
	more = p.more
	p.busy, p.more = false, false
	return more
}

// result is how one try ended.
type result struct {
	delivery authcore.Delivery
	written  *sync.WaitGroup
	turned   bool // the webhook began to fail, or works again
}

// Run delivers until ctx ends.
func (d *Dispatcher) Run(ctx context.Context) {
	d.results, d.done, d.posts = make(chan result, flushSize), make(chan authcore.WebhookID), make(map[authcore.WebhookID]*post)
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d.sending = sending
	var flushing sync.WaitGroup
	flushing.Go(d.flush)
	rings, stop := d.Bell.Listen()
	defer stop()
	next, soon := d.look(ctx)
	for ctx.Err() == nil {
		t := time.NewTimer(next.Sub(d.Now()))
		select {
		case <-ctx.Done():
		case <-rings:
			next = soon
		case id := <-d.done:
			if d.posts[id].settle() {
				next = soon
			}
		case <-t.C:
			next, soon = d.look(ctx)
		}
		t.Stop()
	}
	d.end(cancel)
	close(d.results)
	flushing.Wait()
	d.Client.Close()
	if !d.leased.IsZero() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		_ = d.Store.DropLease(last, leaseName, d.Holder) // else it ends by itself
	}
}

// end waits for what is under way, for a while, and then ends it.
func (d *Dispatcher) end(cancel func()) {
	t := time.AfterFunc(grace, cancel)
	defer t.Stop()
	defer cancel()
	for _, p := range d.posts {
		for p.busy {
			d.posts[<-d.done].settle()
		}
	}
}

// look does what there is to do, and tells when to look again: next, or soon where somebody
// asks for it.
func (d *Dispatcher) look(ctx context.Context) (next, soon time.Time) {
	began := d.Now()
	d.yielded = 0
	err := d.lookOnce(ctx)
	if ctx.Err() == nil {
		d.Trouble(err)
	}
	now := d.Now()
	took := now.Sub(began) - d.yielded
	return now.Add(max(lookEvery, lookShare*took)), now.Add(max(lookPause, 2*took))
}

func (d *Dispatcher) lookOnce(ctx context.Context) error {
	for step, more := 1, true; more; step++ {
		ours, err := d.ours(ctx)
		if err != nil || !ours {
			return err
		}
		if _, more, err = d.Store.FollowChain(ctx, d.Now()); err != nil {
			return err
		}
		if more && step%serveEvery != 0 {
			d.yield(ctx, stepPause)
			continue
		}
		if err = d.serve(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ours takes the lease where there is anything to deliver to, or has it for longer.
func (d *Dispatcher) ours(ctx context.Context) (bool, error) {
	if !d.leased.IsZero() && d.Now().Sub(d.leased) < leaseEvery {
		return true, nil
	}
	if any, err := d.Store.HasWebhooks(ctx); err != nil || !any {
		d.Tally.Waiting.Store(0)
		return false, err
	}
	at := d.Now()
	ours, err := d.Store.TakeLease(ctx, leaseName, d.Holder, leaseTime)
	switch {
	case ours:
		d.leased = at
	case err == nil:
		d.leased = time.Time{}
		d.Tally.Waiting.Store(0)
	}
	return ours, err
}

// serve starts to deliver where something is due and nobody delivers yet.
func (d *Dispatcher) serve(ctx context.Context) error {
	waiting, err := d.Store.WaitingDeliveries(ctx)
	if err != nil {
		return err
	}
	active, err := d.Store.ActiveWebhooks(ctx)
	if err != nil {
		return err
	}
	sum, now := 0, d.Now()
	apart := min(stepPause, serveSpread/time.Duration(max(1, len(active))))
	for i := range active {
		w := &active[i]
		due := waiting[w.ID]
		delete(waiting, w.ID)
		if sum += due.Count; due.Count == 0 || due.Due.After(now) {
			continue
		}
		p := d.posts[w.ID]
		if p == nil {
			p = new(post)
			d.posts[w.ID] = p
		}
		if p.busy {
			p.more = true
			continue
		}
		if now.Before(p.until) {
			continue
		}
		p.busy = true
		go d.deliver(ctx, w, p)
		d.yield(ctx, apart)
	}
	d.Tally.Waiting.Store(int64(sum))
	for id := range waiting { // of those that are active no more
		n, err := d.Store.GiveUpDeliveries(ctx, id, "the webhook was switched off")
		if err != nil {
			return err
		}
		d.Tally.Lost.Add(uint64(n))
	}
	return nil
}

// deliver delivers what is due to one webhook. While it runs the post is its own.
func (d *Dispatcher) deliver(ctx context.Context, w *authcore.Webhook, p *post) {
	defer func() { d.done <- w.ID }()
	secrets, err := authcore.OpenWebhookSecrets(d.Sealer, w)
	if err != nil {
		d.Trouble(err)
		p.until = d.Now().Add(longestRest)
		return
	}
	for n := pageSize; n == pageSize && ctx.Err() == nil && !d.Now().Before(p.until); {
		page, err := d.Store.DeliveriesDue(ctx, w.ID, d.Now(), pageSize)
		if err != nil {
			return // whoever looks complains
		}
		n = len(page)
		if ok := d.sendAll(ctx, w, p, secrets, page); !ok {
			return
		}
	}
}

// sendAll sends a page and waits until it is written how that ended. It is false where the
// webhook is told no more for now.
func (d *Dispatcher) sendAll(ctx context.Context, w *authcore.Webhook, p *post, secrets authcore.WebhookSecrets, page []authcore.Delivery) bool {
	var written, under sync.WaitGroup
	var mu sync.Mutex // of what follows, and of the post
	goOn, disable := true, ""
	slots := make(chan struct{}, parallel)
	for _, one := range page {
		width := 1
		mu.Lock()
		if p.failures > 0 {
			width = parallel // the whole of it
		}
		stop := !goOn || ctx.Err() != nil
		mu.Unlock()
		if stop {
			break
		}
		for range width {
			slots <- struct{}{}
		}
		under.Go(func() {
			defer func() {
				for range width {
					<-slots
				}
			}()
			gone, ok := d.try(w, secrets, &one)
			if !ok {
				return
			}
			if one.AnswerStatus == 0 && one.Status == authcore.DeliveryLost && one.Failure == eventGone { // which says nothing of the webhook
				written.Add(1)
				d.results <- result{delivery: one, written: &written}
				return
			}
			mu.Lock()
			if one.Status == authcore.DeliveryDone {
				p.failures, p.until = 0, time.Time{}
			} else if p.failures++; one.EventID != "" || gone { // a test is to find out
				if pause := rest(p.failures); pause > 0 {
					p.until, goOn = d.Now().Add(pause), false
				}
			}
			if gone {
				disable, goOn = "the receiver answered 410: it is gone", false
			}
			worked := w.FailingSince.IsZero()
			since := d.failing(w, one.Failure == "")
			if disable == "" && !since.IsZero() && d.Now().Sub(since) > disableAge {
				disable, goOn = fmt.Sprintf("nothing was taken since %s; at last: %s", since.UTC().Format("2 January 2006"), one.Failure), false
			}
			mu.Unlock()
			written.Add(1)
			d.results <- result{one, &written, worked != since.IsZero()}
		})
	}
	under.Wait()
	written.Wait()
	if disable != "" {
		if err := d.Disable(ctx, w.ID, disable); err != nil && ctx.Err() == nil {
			d.Trouble(err) // it is tried again with what waits
		}
	}
	return goOn
}

// failing keeps since when a webhook fails.
func (d *Dispatcher) failing(w *authcore.Webhook, ok bool) time.Time {
	if ok {
		w.FailingSince = time.Time{}
	} else if w.FailingSince.IsZero() {
		w.FailingSince = d.Now()
	}
	return w.FailingSince
}

const eventGone = "the audit log does not have the event any more"

// try sends one delivery and says in it how that ended. ok is false where nobody knows,
// because the gate stops.
func (d *Dispatcher) try(w *authcore.Webhook, secrets authcore.WebhookSecrets, one *authcore.Delivery) (gone, ok bool) {
	body, there, err := one.Body()
	one.Tries++
	if err != nil || !there {
		one.Status, one.Failure, one.TriedAt = authcore.DeliveryLost, eventGone, d.Now()
		d.Tally.Lost.Add(1)
		return false, true
	}
	a := d.Client.Send(d.sending, w.URL, string(one.ID), secrets.At(d.Now()), body)
	if a.Failure != "" && d.sending.Err() != nil {
		return false, false
	}
	one.TriedAt, one.Took, one.AnswerStatus, one.Answer, one.Failure = a.At, a.Took, a.Status, a.Body, a.Failure
	pause, again := retryAfter(one.Tries)
	switch {
	case a.Failure == "":
		one.Status = authcore.DeliveryDone
		d.Tally.Delivered.Add(1)
	case a.Gone(), !again, d.Now().Sub(one.CreatedAt) > giveUpAge, one.EventID == "":
		one.Status = authcore.DeliveryLost
		d.Tally.Lost.Add(1)
	default:
		one.DueAt = d.Now().Add(pause)
		d.Tally.Failed.Add(1)
	}
	return a.Gone(), true
}

// flush writes how tries ended, many at a time, and insists until that is done or there is
// no more time.
func (d *Dispatcher) flush() {
	for first := range d.results {
		batch := []result{first}
		t := time.NewTimer(flushEvery)
		for open := true; open && len(batch) < flushSize; {
			select {
			case r, ok := <-d.results:
				if open = ok; ok {
					batch = append(batch, r)
				}
			case <-t.C:
				open = false
			}
		}
		t.Stop()
		d.write(batch)
		for _, r := range batch {
			r.written.Done()
		}
	}
}

func (d *Dispatcher) write(batch []result) {
	all, failing := make([]authcore.Delivery, len(batch)), make(map[authcore.WebhookID]time.Time)
	for i, r := range batch {
		all[i] = r.delivery
		if !r.turned {
			continue
		}
		failing[r.delivery.Webhook] = time.Time{}
		if r.delivery.Failure != "" {
			failing[r.delivery.Webhook] = r.delivery.TriedAt
		}
	}
	for {
		// also what ended while the gate stops: else it would be sent again
		ctx, cancel := context.WithTimeout(context.WithoutCancel(d.sending), leaseTime)
		err := d.Store.FinishDeliveries(ctx, all, failing)
		cancel()
		if err == nil {
			return
		}
		d.Trouble(err)
		if !pause(d.sending, flushPause) {
			return
		}
	}
}

// yield lets others work for a while.
func (d *Dispatcher) yield(ctx context.Context, while time.Duration) {
	began := d.Now()
	pause(ctx, while)
	d.yielded += d.Now().Sub(began)
}

// pause waits, and tells whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
