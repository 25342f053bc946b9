package caddymodule

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/audit"
	"github.com/gatehouse-auth/gatehouse/authcore/password"
)

// measures are what a snapshot of counters cannot tell. They belong to the core, so
// that they go on after a reload.
type measures struct {
	hash, batch, flush prometheus.Histogram
}

func newMeasures() measures {
	return measures{
		hash: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "gate_hashing_duration_seconds",
			Help:    "How long a password hash takes once it has a permit.",
			Buckets: []float64{.005, .01, .02, .03, .05, .075, .1, .15, .2, .3, .5, 1, 2, 5}}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "gate_audit_batch_events",
			Help:    "Audit events in one transaction.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}}),
		flush: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "gate_audit_flush_duration_seconds",
			Help:    "How long a transaction with audit events takes, also one that fails.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 3}}),
	}
}

func (m measures) all() []prometheus.Histogram {
	return []prometheus.Histogram{m.hash, m.batch, m.flush}
}

// hashing times one password hash.
func (m measures) hashing() (end func()) {
	began := time.Now()
	return func() { m.hash.Observe(time.Since(began).Seconds()) }
}

// timedEvents is the database as the audit actor sees it, with a stopwatch.
type timedEvents struct {
	audit.Store
	measures
}

// InsertEvents implements audit.Store.
func (t timedEvents) InsertEvents(ctx context.Context, events []authcore.Event, durable bool) error {
	began := time.Now()
	err := t.Store.InsertEvents(ctx, events, durable)
	t.flush.Observe(time.Since(began).Seconds())
	if err == nil {
		t.batch.Observe(float64(len(events)))
	}
	return err
}

// snapshot is what all parts of a core count, at one time.
type snapshot struct {
	hashing     password.GateStats
	audit       audit.Stats
	sessions    authcore.SessionStats
	tally       authcore.TallyStats
	unavailable uint64
	refused     uint64
	mails       struct{ sent, failed, lost uint64 }
	webhooks    struct{ delivered, failed, lost uint64 }
	waiting     int64 // for webhooks
	collected   struct{ events, failed uint64 }
}

func (c *core) snapshot() *snapshot {
	s := &snapshot{hashing: c.hashing.Stats(), audit: c.audit.Stats(), sessions: c.sessions.Stats(), tally: c.tally.Stats()}
	s.unavailable, s.refused = c.db.Errors()
	s.mails.sent, s.mails.failed, s.mails.lost = c.mails.sent.Load(), c.mails.failed.Load(), c.mails.lost.Load()
	s.webhooks.delivered, s.webhooks.failed, s.webhooks.lost = c.told.Delivered.Load(), c.told.Failed.Load(), c.told.Lost.Load()
	s.waiting = c.told.Waiting.Load()
	s.collected.events, s.collected.failed = c.told.Told.Load(), c.told.Missed.Load()
	return s
}

// collector reads a core's counters whenever somebody asks. A reload has a registry
// of its own and gets another collector of the same core.
type collector struct{ core *core }

var _ prometheus.Collector = collector{}

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range metrics {
		to <- m.desc
	}
	for _, h := range c.core.measures.all() {
		h.Describe(to)
	}
}

// Collect implements prometheus.Collector. While the database is not open yet there
// is nothing to tell.
func (c collector) Collect(to chan<- prometheus.Metric) {
	if !c.core.ready.Load() {
		return
	}
	s := c.core.snapshot()
	for _, m := range metrics {
		for _, v := range m.values {
			if v.label == "" {
				to <- prometheus.MustNewConstMetric(m.desc, m.kind, v.of(s))
			} else {
				to <- prometheus.MustNewConstMetric(m.desc, m.kind, v.of(s), v.label)
			}
		}
	}
	for _, h := range c.core.measures.all() {
		h.Collect(to)
	}
}
