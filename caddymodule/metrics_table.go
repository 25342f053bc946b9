package caddymodule

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// metric is one name, with a value for each value of its label, or with one alone.
type metric struct {
	name   string
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	values []value
}

// value is where a figure comes from.
type value struct {
	label string
	of    func(s *snapshot) float64
}

// figure is a metric without a label.
func figure(name, help string, of func(s *snapshot) float64) metric {
	return newMetric(name, help, nil, []value{{of: of}})
}

// figures is a metric with a label.
func figures(name, help, label string, values ...value) metric {
	return newMetric(name, help, []string{label}, values)
}

// newMetric takes a name that ends as a counter's does for one.
func newMetric(name, help string, labels []string, values []value) metric {
	kind := prometheus.GaugeValue
	if strings.HasSuffix(name, "_total") {
		kind = prometheus.CounterValue
	}
	return metric{name, prometheus.NewDesc(name, help, labels, nil), kind, values}
}

// metrics are all that is read from the parts of a core when somebody asks.
// docs/metrics.md tells more of them.
var metrics = []metric{
	figure("gate_hashing_permits", "Password hashes that may run at once; 0 means no limit.",
		func(s *snapshot) float64 { return float64(s.hashing.Permits) }),
	figure("gate_hashing_permits_in_use", "Password hashes that run now.",
		func(s *snapshot) float64 { return float64(s.hashing.InUse) }),
	figure("gate_hashing_waiting", "Callers that wait for a permit to hash.",
		func(s *snapshot) float64 { return float64(s.hashing.Waiting) }),
	figure("gate_hashing_refused_total", "Callers that got no permit to hash.",
		func(s *snapshot) float64 { return float64(s.hashing.Refused) }),

	figures("gate_audit_waiting_events", "Audit events in memory, before they are in a batch (queue) and after (batch).", "place",
		value{"queue", func(s *snapshot) float64 { return float64(s.audit.Queue) }},
		value{"batch", func(s *snapshot) float64 { return float64(s.audit.Waiting) }}),
	figure("gate_audit_spill_bytes", "Audit events in spill files that the database does not have yet.",
		func(s *snapshot) float64 { return float64(s.audit.Spill) }),
	figure("gate_audit_accepted_total", "Audit events to be written in batches.",
		func(s *snapshot) float64 { return float64(s.audit.Accepted) }),
	figure("gate_audit_written_total", "Audit events written to the database.",
		func(s *snapshot) float64 { return float64(s.audit.Written) }),
	figure("gate_audit_spilled_total", "Audit events that went to a spill file first.",
		func(s *snapshot) float64 { return float64(s.audit.Spilled) }),
	figure("gate_audit_dropped_total", "Audit events that are lost.",
		func(s *snapshot) float64 { return float64(s.audit.Dropped) }),
	figure("gate_audit_failed_writes_total", "Transactions with audit events that failed; they are tried again.",
		func(s *snapshot) float64 { return float64(s.audit.Failed) }),

	figure("gate_activity_due_total", "Last-seen times that were due to be written.",
		func(s *snapshot) float64 { return float64(s.sessions.Due) }),
	figure("gate_activity_written_total", "Last-seen times written to the database.",
		func(s *snapshot) float64 { return float64(s.sessions.Written) }),
	figure("gate_activity_coalesced_total", "Uses of a session that needed no write, because the last one is recent.",
		func(s *snapshot) float64 { return float64(s.sessions.Coalesced) }),
	figure("gate_activity_transactions_total", "Transactions that wrote last-seen times.",
		func(s *snapshot) float64 { return float64(s.sessions.Transactions) }),
	figure("gate_activity_failed_writes_total", "Transactions with last-seen times that failed; they are tried again.",
		func(s *snapshot) float64 { return float64(s.sessions.Failures) }),
	figure("gate_activity_waiting", "Last-seen times that wait to be written.",
		func(s *snapshot) float64 { return float64(s.sessions.Waiting) }),

	figures("gate_session_lookups_total", "Look-ups of a session: answered from memory (hit), read from the database (miss), no such session (unknown), or no answer (error).", "result",
		value{"hit", func(s *snapshot) float64 { return float64(s.sessions.Hits) }},
		value{"miss", func(s *snapshot) float64 { return float64(s.sessions.Misses) }},
		value{"unknown", func(s *snapshot) float64 { return float64(s.sessions.Unknown) }},
		value{"error", func(s *snapshot) float64 { return float64(s.sessions.Failed) }}),
	figure("gate_session_cache_sessions", "Sessions in memory.",
		func(s *snapshot) float64 { return float64(s.sessions.Sessions) }),
	figure("gate_session_cache_users", "Users with a session in memory.",
		func(s *snapshot) float64 { return float64(s.sessions.Users) }),

	figures("gate_sign_ins_total", "Sign-ins by how they ended: success, failure (wrong password or no such user), limited, busy (no permit to hash), or error.", "outcome",
		value{"success", func(s *snapshot) float64 { return float64(s.tally.SignedIn) }},
		value{"failure", func(s *snapshot) float64 { return float64(s.tally.Wrong) }},
		value{"limited", func(s *snapshot) float64 { return float64(s.tally.TooMany) }},
		value{"busy", func(s *snapshot) float64 { return float64(s.tally.Busy) }},
		value{"error", func(s *snapshot) float64 { return float64(s.tally.Trouble) }}),
	figures("gate_limit_refused_total", "Attempts, at sign-in and elsewhere, that a limit refused.", "limit",
		value{"address", func(s *snapshot) float64 { return float64(s.tally.ByAddress) }},
		value{"account", func(s *snapshot) float64 { return float64(s.tally.ByAccount) }}),
	figures("gate_mail_total", "Tries to hand a message to the mail server that worked (sent) or not (failed), and messages given up (lost).", "outcome",
		value{"sent", func(s *snapshot) float64 { return float64(s.mails.sent) }},
		value{"failed", func(s *snapshot) float64 { return float64(s.mails.failed) }},
		value{"lost", func(s *snapshot) float64 { return float64(s.mails.lost) }}),
	figures("gate_webhook_deliveries_total", "Tries to deliver an event to a webhook that worked (delivered) or not (failed), and deliveries given up (lost).", "outcome",
		value{"delivered", func(s *snapshot) float64 { return float64(s.webhooks.delivered) }},
		value{"failed", func(s *snapshot) float64 { return float64(s.webhooks.failed) }},
		value{"lost", func(s *snapshot) float64 { return float64(s.webhooks.lost) }}),
	figure("gate_webhook_waiting", "Deliveries to webhooks that wait, on the node that delivers.",
		func(s *snapshot) float64 { return float64(s.waiting) }),
	figure("gate_siem_events_total", "Audit events that collectors have taken.",
		func(s *snapshot) float64 { return float64(s.collected.events) }),
	figure("gate_siem_failed_total", "Tries to hand audit events to a collector that failed; they are tried again.",
		func(s *snapshot) float64 { return float64(s.collected.failed) }),
	figure("gate_sign_in_alarms_total", "Times that one address had tried many accounts with wrong passwords.",
		func(s *snapshot) float64 { return float64(s.tally.Alarms) }),

	figure("gate_database_silence_seconds", "Time since the database was last heard.",
		func(s *snapshot) float64 { return s.sessions.Silence.Seconds() }),
	figure("gate_database_silence_limit_seconds", "Silence after which nobody is answered from memory.",
		func(s *snapshot) float64 { return s.sessions.MaxSilence.Seconds() }),
	figures("gate_database_errors_total", "Calls of the database that failed: it was away or busy (unavailable), or refused what it was asked (refused).", "kind",
		value{"unavailable", func(s *snapshot) float64 { return float64(s.unavailable) }},
		value{"refused", func(s *snapshot) float64 { return float64(s.refused) }}),
}
