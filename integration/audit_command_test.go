package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// life makes events of several kinds: alice, who is an owner, sees the command line
// add bob; strangers and bob try passwords.
func (s *server) life(t *testing.T) {
	t.Helper()
	at := s.at("app.localhost", "")
	s.addUser(t, bob)
	s.Client(t).signIn(at, bob)
	for _, p := range []person{guessed(bob), nobody, guessed(alice)} {
		if got := s.Client(t).login(at, p); got.StatusCode != http.StatusUnauthorized {
			t.Fatalf("%s: %s", p.Username, got.Status)
		}
	}
	s.must(t, "", "user", "group", "bob", "--add", "staff")
	s.must(t, "", "user", "disable", "bob")
}

// sealed waits until every event is in a batch, and gives them.
func (s *server) sealed(t *testing.T, least int) (all []auditLine) {
	t.Helper()
	eventually(t, "all events are sealed", func() bool {
		all = s.told(t)
		return len(all) >= least && !slices.ContainsFunc(all, func(e auditLine) bool { return e.Batch == 0 })
	})
	return all
}

// auditFilter is what `caddy gate audit` is asked for, and what it should tell.
type auditFilter struct {
	args string // split at spaces; _ stands for one
	want func(e auditLine) bool
}

// auditFilters are those of every kind, for a log of which all is known.
func auditFilters(all []auditLine) []auditFilter {
	middle := all[len(all)/2].Time
	is := func(ok bool) func(auditLine) bool { return func(auditLine) bool { return ok } }
	bobs := all[slices.IndexFunc(all, func(e auditLine) bool { return e.Actor == "bob" })]
	from := func(e auditLine) bool { return !e.Time.Before(middle) }
	local := func(age time.Duration, layout string) string {
		return strings.ReplaceAll(time.Now().Add(-age).Format(layout), " ", "_")
	}
	const day = 24 * time.Hour
	return []auditFilter{
		{"--actor bob", func(e auditLine) bool { return e.Actor == "bob" }},
		{"--actor bob@example.com", func(e auditLine) bool { return e.Actor == "bob" }},
		{"--actor " + strings.TrimPrefix(bobs.Target, "user:"), func(e auditLine) bool { return e.Actor == "bob" }},
		{"--actor user", func(e auditLine) bool { return e.ActorKind == "user" }},
		{"--actor command", func(e auditLine) bool { return e.ActorKind == "command" }},
		{"--actor anonymous", func(e auditLine) bool { return e.ActorKind == "anonymous" }},
		{"--actor nobody", is(false)},
		{"--action user.login", func(e auditLine) bool { return e.Action == "user.login" }},
		{"--action user.*", func(e auditLine) bool { return strings.HasPrefix(e.Action, "user.") }},
		{"--action user", is(false)},
		{"--target bob", func(e auditLine) bool { return e.Target == bobs.Target }},
		{"--target " + bobs.Target, func(e auditLine) bool { return e.Target == bobs.Target }},
		{"--outcome success", func(e auditLine) bool { return e.Outcome == "success" }},
		{"--outcome failure", func(e auditLine) bool { return e.Outcome == "failure" }},
		{"--outcome refused", func(e auditLine) bool { return e.Outcome == "refused" }},
		{"--outcome failure --action user.login --target alice --actor anonymous --since 1h", func(e auditLine) bool {
			return e.Outcome == "failure" && e.Target != "" && e.Target != bobs.Target
		}},
		{"--since " + middle.Format(time.RFC3339Nano), from},
		{"--until " + middle.Format(time.RFC3339Nano), func(e auditLine) bool { return !from(e) }},
		{"--since 24h", is(true)}, {"--since 7d", is(true)}, {"--since 0s", is(false)}, {"--until 24h", is(false)},
		{"--since " + local(day, time.DateOnly), is(true)}, {"--until " + local(day, time.DateOnly), is(false)},
		{"--since " + local(-day, "2006-01-02_15:04"), is(false)}, {"--until " + local(-day, "2006-01-02_15:04:05"), is(true)},
		{"--since " + local(day, "2006-01-02T15:04") + " --until " + local(-day, "2006-01-02T15:04:05"), is(true)},
	}
}

// auditMistakes are answered by what to do about them.
var auditMistakes = []step{
	{"", "audit --since yesterday", 1, `Error: --since: "yesterday" is neither a time such as 2026-01-31 or 2026-01-31T08:00:00Z nor an age such as 24h or 7d\n`},
	{"", "audit --until 2026-02-30", 1, `Error: --until: "2026-02-30" is neither .*\n`},
	{"", "audit --since -1h", 1, `Error: --since: "-1h" is neither .*\n`},
	{"", "audit --since 25:00 --until x", 1, `Error: --since: "25:00" is neither .*\n--until: "x" is neither .*\n`},
	{"", "audit --outcome maybe", 1, `Error: --outcome is success, failure or refused, not "maybe"\n`},
	{"", "audit more", 1, `Error: .*\n`},
	{"", "audit verify more", 1, `Error: .*\n`},
	{"", "audit --follow --until 1h", 1, `Error: --follow has no end: leave out --until\n`},
	{"", "audit verify --expect 12", 1, `Error: --expect: "12" is not what an earlier run ended with, NUMBER:LINK\n`},
	{"", "audit verify --expect 0:" + strings.Repeat("a", 64), 1, `Error: --expect: "0:a+" is not what an earlier run ended with, NUMBER:LINK\n`},
	{"", "audit verify --expect 1:" + strings.Repeat("a", 63), 1, `Error: --expect: "1:a+" is not what an earlier run ended with, NUMBER:LINK\n`},
}

// filtered checks what the command line tells of all events with a filter.
func (s *server) filtered(t *testing.T, all []auditLine, f auditFilter) {
	t.Helper()
	ids := func(all []auditLine) []string {
		list := []string{}
		for _, e := range all {
			list = append(list, e.Action+" "+e.ID)
		}
		return list
	}
	args := strings.Split(f.args, " ")
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "_", " ")
	}
	want := slices.DeleteFunc(slices.Clone(all), func(e auditLine) bool { return !f.want(e) })
	if diff := cmp.Diff(ids(want), ids(s.told(t, args...))); diff != "" {
		t.Errorf("%s (-want +got):\n%s", f.args, diff)
	}
}

// The log is told in all forms, through a server and on the database alone.
func TestAuditCommand(t *testing.T) {
	t.Parallel()
	for name, reach := range reaches {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, reach.caddyfile)
			s.createOwner(t, alice)
			s.life(t)
			const least = 9 // setup, alice; bob, his sign-in and a wrong password, two of others; two changes
			s.sealed(t, least)
			reach.begin(t, s)
			all := s.sealed(t, least)
			few := 6 // of the filters, where the way to the database is what counts
			if name == "no server" {
				few = 1
				for _, st := range auditMistakes {
					s.take(t, st)
				}
			}
			for i, f := range auditFilters(all) {
				if i%few == 0 {
					s.filtered(t, all, f)
				}
			}
			s.take(t, step{"", "audit --action user.disable", 0, `TIME +ACTOR +ACTION +TARGET +OUTCOME +DETAILS +ADDRESS +DEVICE\n` +
				`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +command +user\.disable +user:bob +success.*\n`})
			s.take(t, step{"", "audit --action nonsense", 0, `TIME +ACTOR +ACTION .*\n`})
			s.take(t, step{"", "audit verify --expect " + s.verified(t), 0, `The audit log is as it was written\.\n\d+ events in batches 1 to \d+\.\nNote elsewhere: \d+:\w+\n`})
		})
	}
}

// follower is a `caddy gate audit --follow` that runs.
type follower struct {
	out  logBuffer
	cmd  *exec.Cmd
	done chan error
}

func (s *server) follow(t *testing.T, args ...string) *follower {
	t.Helper()
	binary, err := caddyBinary()
	must(t, err)
	f := &follower{done: make(chan error, 1)}
	f.cmd = exec.Command(binary, append([]string{"gate", "audit", "--follow", "--config", s.config()}, args...)...)
	f.cmd.Dir, f.cmd.Env, f.cmd.Stdout, f.cmd.Stderr = s.Dir, s.environment(), &f.out, &f.out
	must(t, launch(f.cmd))
	watch(f.cmd.Process, true)
	go func() {
		f.done <- f.cmd.Wait()
		watch(f.cmd.Process, false)
	}()
	t.Cleanup(func() { _ = f.cmd.Process.Kill() })
	return f
}

// interrupt ends it as Ctrl-C does.
func (f *follower) interrupt(t *testing.T) {
	t.Helper()
	must(t, f.cmd.Process.Signal(os.Interrupt))
	select {
	case <-f.done:
		t.Logf("ends with: %s", f.cmd.ProcessState)
	case <-time.After(patience):
		t.Errorf("goes on after an interrupt:\n%s", f.out.String())
	}
}

// --follow tells what happens from now on, soon after it happened, until it is
// interrupted.
func TestAuditFollow(t *testing.T) {
	t.Parallel()
	for name, reach := range reaches {
		if name == "no server" {
			continue // nothing happens there
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := reach.start(t)
			try := func(name string) {
				if got := s.Client(t).login(s.at("app.localhost", ""), someone(name)); got.StatusCode != http.StatusUnauthorized {
					t.Errorf("%s: %s", name, got.Status)
				}
			}
			s.sealed(t, 1)
			plain := s.follow(t)
			eventually(t, "the heading", func() bool { return strings.Contains(plain.out.String(), "TIME") })
			since := s.follow(t, "--json", "--since", "1h", "--outcome", "failure")
			try("first")
			began := time.Now()
			eventually(t, "what happened", func() bool { return strings.Contains(plain.out.String(), "unknown user") })
			inTime(t, "an event is told", 3*time.Second, time.Since(began))
			try("second")
			s.must(t, "", "user", "owner", "alice")
			eventually(t, "all that happened", func() bool {
				out := plain.out.String() // what another process did may come before it
				return strings.Contains(out, "user.owner") && strings.Count(out, "unknown user") == 2
			})
			eventually(t, "the second", func() bool { return strings.Count(since.out.String(), "\n") == 2 })
			for _, f := range []*follower{plain, since} {
				f.interrupt(t)
			}
			if out := plain.out.String(); strings.Contains(out, "setup.close") || strings.Count(out, "\n") != 4 {
				t.Errorf("what is told:\n%s", out)
			}
			for line := range strings.Lines(since.out.String()) {
				var e auditLine
				if err := json.Unmarshal([]byte(line), &e); err != nil || e.Outcome != "failure" {
					t.Errorf("what is told in JSON: %v: %s", err, line)
				}
			}
		})
	}
}

// --follow waits for a Caddy that is restarted, and leaves nothing out.
func TestAuditFollowAcrossRestart(t *testing.T) {
	t.Parallel()
	s := start(t, cottage)
	s.addUser(t, alice, "--owner")
	follower := s.follow(t, "--json", "--since", "1h")
	told := func() string { return follower.out.String() }
	eventually(t, "what was before", func() bool { return strings.Contains(told(), `"user.create"`) })
	s.Stop(t)
	eventually(t, "a word about it", func() bool { return strings.Contains(told(), "Waiting: ") })
	s.Restart(t)
	if got := s.Client(t).login(s.at("app.localhost", ""), someone("late")); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("sign-in: %s", got.Status)
	}
	eventually(t, "what is after", func() bool { return strings.Contains(told(), "unknown user") })
	follower.interrupt(t)
	if n := strings.Count(told(), "Waiting: "); n != 1 {
		t.Errorf("%d words about one restart:\n%s", n, told())
	}
}

// harm is something that somebody does to the log by SQL. In the statements and in
// what is to be found, {batch} and {event} are of one in the middle.
type harm struct {
	name       string
	statements []string
	finds      string // as a regular expression for a line
}

// anotherRow is a copy of an event with another id, in a batch and a place.
func anotherRow(batch, place string) string {
	return "INSERT INTO events (id, occurred_at, actor_kind, actor_id, session_id, action, target, outcome, details, address, agent, request_id, batch, place, blinding, leaf, organization_id, act_id)" +
		" SELECT 'ffff-inserted', occurred_at, actor_kind, actor_id, session_id, action, target, outcome, details, address, agent, request_id, " +
		batch + ", " + place + ", blinding, leaf, organization_id, act_id FROM events WHERE id = '{event}'"
}

var harms = []harm{
	{"outcome changed", []string{"UPDATE events SET outcome = 'success' WHERE id = '{event}'"}, `CHANGED in batch {batch}, event {event}: is not as it was written: .* user\.login success`},
	{"time changed", []string{"UPDATE events SET occurred_at = occurred_at + 1 WHERE id = '{event}'"}, `CHANGED in batch {batch}, event {event}: .*`},
	{"address changed", []string{"UPDATE events SET address = '192.0.2.1' WHERE id = '{event}'"}, `CHANGED in batch {batch}, event {event}: .*`},
	{"made anonymous by hand", []string{"UPDATE events SET address = '', agent = '' WHERE id = '{event}'"}, `CHANGED in batch {batch}, event {event}: .*`},
	{"removed", []string{"DELETE FROM events WHERE id = '{event}'"}, `REMOVED in batch {batch}: 1 of the \d+ events are missing.*`},
	{"a batch removed", []string{"DELETE FROM events WHERE batch = {batch}", "DELETE FROM event_batches WHERE number = {batch}"},
		`REMOVED in batch \d+: batches {batch} to {batch} are missing`},
	{"the newest removed", []string{"DELETE FROM events WHERE batch = (SELECT max(number) FROM event_batches)",
		"DELETE FROM event_batches WHERE number = (SELECT max(number) FROM event_batches)"}, `REMOVED in batch \d+: the newest batches are missing: .*`},
	{"inserted", []string{anotherRow("batch", "place")}, `INSERTED in batch {batch}, event ffff-inserted: does not belong here: .*`},
	{"inserted behind", []string{anotherRow("batch", "place + 100")}, `INSERTED in batch {batch}, event ffff-inserted: does not belong here: .*`},
	{"inserted, not sealed", []string{anotherRow("0", "0"), "UPDATE events SET details = 'made up' WHERE id = 'ffff-inserted'"},
		`INSERTED, event ffff-inserted: was not written by the gate, .*`},
	{"inserted in a batch that is not there", []string{anotherRow("99999", "1")}, `INSERTED in batch 99999, event ffff-inserted: claims a batch that is not there`},
	{"in place of another", []string{anotherRow("batch", "place"), "UPDATE events SET agent = 'made up' WHERE id = 'ffff-inserted'", "DELETE FROM events WHERE id = '{event}'"},
		`CHANGED in batch {batch}, event ffff-inserted: .*`},
	{"the link of a batch", []string{"UPDATE event_batches SET link = '" + strings.Repeat("0", 64) + "' WHERE number = {batch}"}, `BROKEN in batch {batch}: does not follow .*`},
	{"the end of the chain", []string{"UPDATE settings SET value = '1 - false 0 x' WHERE name = 'audit_head'"}, `BROKEN: the record of where the audit chain begins or ends was changed.*`},
}

// Whatever is done to the log by SQL is found, and named.
func TestAuditVerifyFindsHarm(t *testing.T) {
	t.Parallel()
	s := start(t, cottage)
	s.createOwner(t, alice)
	for round := range 3 { // each in batches of its own
		for range 4 {
			s.Client(t).login(s.at("app.localhost", ""), guessed(alice))
		}
		s.sealed(t, 4*(round+1))
	}
	victims := s.told(t, "--outcome", "failure")
	victim := victims[len(victims)/2]
	names := strings.NewReplacer("{batch}", fmt.Sprint(victim.Batch), "{event}", victim.ID)
	s.Stop(t)
	path := filepath.Join(s.Dir, "gate.db")
	whole, err := os.ReadFile(path)
	must(t, err)
	s.verified(t)
	for _, h := range harms {
		t.Run(h.name, func(t *testing.T) {
			for _, statement := range h.statements {
				in("gate.db", names.Replace(statement))(s)
			}
			finds := regexp.MustCompile(`(?m)^` + names.Replace(h.finds) + `$`)
			out, errs, exit := s.CLI(t, "", "audit", "verify")
			if exit == 0 || !finds.MatchString(out) || !regexp.MustCompile(`^Error: the audit log is not as it was written: findings: [1-9]\d*\n$`).MatchString(errs) {
				t.Errorf("exit %d\n%s%s\nwant %s", exit, out, errs, finds)
			}
			must(t, os.WriteFile(path, whole, 0o600))
		})
	}
	s.verified(t)
	s.harmWhileItRuns(t, names)
}

// harmWhileItRuns checks that a running server finds it too, and tells it in JSON.
func (s *server) harmWhileItRuns(t *testing.T, names *strings.Replacer) {
	t.Helper()
	must(t, s.run())
	in("gate.db", "PRAGMA busy_timeout = 10000", names.Replace(harms[0].statements[0]))(s)
	out, errs, exit := s.CLI(t, "", "audit", "verify", "--json")
	var found struct {
		Number   int64
		Findings []struct {
			Kind, Event string
			Batch       int64
		}
	}
	err := json.Unmarshal([]byte(out), &found)
	if exit == 0 || err != nil || found.Number == 0 || len(found.Findings) != 1 || found.Findings[0].Kind != "changed" || found.Findings[0].Event != names.Replace("{event}") {
		t.Errorf("exit %d, %v\n%s%s", exit, err, out, errs)
	}
}

// What was noted of the log is in it for good; a database that was put back to an
// older state shows by that, and by nothing else.
func TestAuditExpect(t *testing.T) {
	t.Parallel()
	s := start(t, cottage)
	s.createOwner(t, alice)
	events := func() { // by the command line: who has the file open keeps its log of changes
		t.Helper()
		before := len(s.told(t))
		s.Client(t).login(s.at("app.localhost", ""), guessed(alice))
		s.sealed(t, before+1)
	}
	events()
	s.Stop(t)
	path := filepath.Join(s.Dir, "gate.db")
	older, err := os.ReadFile(path)
	must(t, err)
	old := s.verified(t)
	must(t, s.run())
	events()
	noted := s.verified(t)
	events()
	s.verified(t, "--expect", noted)
	s.verified(t, "--expect", old)
	s.Stop(t)
	s.verified(t, "--expect", noted)
	number, _, _ := strings.Cut(noted, ":")
	put := func(when string) {
		t.Helper()
		out, errs, exit := s.CLI(t, "", "audit", "verify", "--expect", noted)
		if want := "BROKEN in batch " + number + ": batch " + noted + " was there and is not, or is another: "; exit == 0 || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d\n%s%s", when, exit, out, errs)
		}
		s.verified(t)
		s.verified(t, "--expect", old)
	}
	must(t, os.WriteFile(path, older, 0o600))
	put("put back")
	must(t, s.run())
	for range 3 {
		events()
	}
	put("and gone on from there")
}
