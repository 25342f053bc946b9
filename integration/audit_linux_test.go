package integration

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// The disk is full under load, the spill file's too or another's. Sign-in says to
// come back, the operator is told where events are in danger, and nothing is lost
// that a disk or the memory of a process that lives could keep.
func TestAuditOnAFullDisk(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, audit string
		danger      bool // there is no file either
	}{
		{"with the spill file", "", true},
		{"without the spill file", "audit {\n\t\t\tspill {{.Dir}}/spill\n\t\t}\n\t\t", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, disk := startOnDisk(t, 12, strings.Replace(archive, "{{.Store}}", "database sqlite {{.Dir}}/disk/gate.db\n\t\t"+test.audit, 1))
			if s == nil {
				return
			}
			s.createOwner(t, alice)
			s.fills(t, disk, test.danger)
			if !test.danger {
				s.diesOnFullDisk(t, disk)
			}
		})
	}
}

const alarm = "the audit log is in danger"

// fullUnderLoad fills the disk under load, and waits until what must be written is
// refused and events wait. It gives the file to remove.
func (s *server) fullUnderLoad(t *testing.T, disk *smallDisk, danger bool) (l *load, filler string) {
	t.Helper()
	l = newLoad(t, s)
	l.knockers(4, http.StatusUnauthorized, guessed(alice), time.Millisecond)
	l.many(100)
	alarms := strings.Count(s.Log(), alarm)
	filler = disk.fill(t)
	var got page
	eventually(t, "a sign-in that finds no room", func() bool {
		got = s.Client(t).login(s.at("app.localhost", ""), alice)
		return got.StatusCode != http.StatusSeeOther
	})
	unavailable(t, got, true)
	eventually(t, "events that wait", func() bool {
		if danger {
			return strings.Count(s.Log(), alarm) > alarms
		}
		return len(s.spills(t)) > 0
	})
	l.many(50)
	return l, filler
}

// fills checks that all goes on once a full disk has room.
func (s *server) fills(t *testing.T, disk *smallDisk, danger bool) {
	l, filler := s.fullUnderLoad(t, disk, danger)
	must(t, os.Remove(filler))
	s.signsIn(t, "app.localhost", alice)
	l.many(50)
	l.quiet()
	s.settled(t)
	s.inOrder(t, l, time.Time{})
	if !danger && strings.Contains(s.Log(), alarm) {
		t.Error("events were in danger, with a disk that takes them")
	}
	if strings.Contains(s.Log(), "are lost") {
		t.Error("the log says that events are lost")
	}
}

// diesOnFullDisk checks that a process which is killed meanwhile leaves its events to
// the next one.
func (s *server) diesOnFullDisk(t *testing.T, disk *smallDisk) {
	const lost = 3 * time.Second // a second, and a margin
	l, filler := s.fullUnderLoad(t, disk, false)
	l.lasts(time.Now(), lost+time.Second)
	killed := time.Now()
	s.Kill(t)
	l.quiet()
	must(t, os.Remove(filler))
	must(t, s.run())
	s.settled(t)
	s.inOrder(t, l, killed.Add(-lost))
}

// inOrder checks what the log holds of a load, by the command line: the database is
// in another namespace.
func (s *server) inOrder(t *testing.T, l *load, before time.Time) {
	t.Helper()
	var all []string
	eventually(t, "the last events", func() bool {
		all = nil
		for _, e := range s.told(t, "--action", "user.login") {
			if strings.HasPrefix(e.Agent, "knock-") {
				all = append(all, e.Agent)
			}
		}
		return !before.IsZero() || len(all) >= len(l.answers)
	})
	l.kept(t, all, before)
	s.verified(t)
}
