package webhook

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func some(n int) (all []CollectedEvent) {
	for range n {
		e := authcore.NewEvent(time.Unix(1e9, 123456000), authcore.CommandLine(), authcore.UserLogin, "target", authcore.Failure, "é \" \\ 😀")
		line, _ := lineOf(&e, "")
		all = append(all, CollectedEvent{e, line})
	}
	return all
}

func TestFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f := &File{Path: path}
	defer f.Close()
	lines := func(path string) int {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if err := json.Unmarshal([]byte(line), new(authcore.EventData)); err != nil && line != "half\n" {
				t.Errorf("%q: %v", line, err)
			}
		}
		return strings.Count(string(text), "\n")
	}
	collect := func() {
		t.Helper()
		if err := f.Collect(t.Context(), "", some(3)); err != nil {
			t.Fatal(err)
		}
	}
	collect()
	collect()
	if n := lines(path); n != 6 {
		t.Errorf("%d lines", n)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	collect()
	if n, m := lines(path), lines(path+".1"); n != 3 || m != 6 {
		t.Errorf("%d lines and %d", n, m)
	}
	f.Close()
	if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	collect()
	if n := lines(path); n != 4 {
		t.Errorf("behind half a line: %d lines", n)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("%v, %v", info, err)
	}
	if err := (&File{Path: filepath.Join(path, "x")}).Collect(t.Context(), "", some(1)); err == nil {
		t.Error("a file that cannot be")
	}
}

func TestSyslog(t *testing.T) {
	t.Parallel()
	e := some(1)[0]
	const head = `<84>1 2001-09-09T01:46:40.123456Z my-host gatehouse - user.login [origin software="gatehouse"] ` + "\ufeff{"
	if got := string(Message(&e, "my host\n-")); got[:len(head)-len("my-host")+len("myhost-")] != strings.Replace(head, "my-host", "myhost-", 1) {
		t.Errorf("%q", got)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := &Syslog{Network: "udp", Address: conn.LocalAddr().String(), Host: "host", Now: time.Now}
	defer s.Close()
	if err := s.Collect(t.Context(), "", some(2)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, longest)
	for range 2 {
		n, _, err := conn.ReadFrom(buf)
		if err != nil || !strings.HasPrefix(string(buf[:n]), "<84>1 ") || !strings.HasSuffix(string(buf[:n]), "}") {
			t.Errorf("%q, %v", buf[:n], err)
		}
	}
	if err := (&Syslog{Network: "tcp", Address: "127.0.0.1:1", Now: time.Now}).Collect(t.Context(), "", some(1)); err == nil {
		t.Error("nobody is there")
	}
}

func TestSyslogOverTCP(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			for r := bufio.NewReader(conn); ; {
				n := 0
				if _, err := fmt.Fscanf(r, "%d ", &n); err != nil {
					break
				}
				line := make([]byte, n)
				if _, err := io.ReadFull(r, line); err != nil {
					break
				}
				got <- string(line)
				conn.Close() // after each
			}
		}
	}()
	s := &Syslog{Network: "tcp", Address: l.Addr().String(), Host: "host", Now: time.Now}
	defer s.Close()
	for n := 0; n < 3; {
		if err := s.Collect(t.Context(), "", some(1)); err != nil {
			continue // the end of the connection was seen: it comes again
		}
		if line := <-got; !strings.HasPrefix(line, "<84>1 ") {
			t.Errorf("%q", line)
		}
		n++
		time.Sleep(10 * time.Millisecond)
	}
}

// roll is a chain in memory, and a collector that fails at times.
type roll struct {
	shelf
	batches []authcore.EventBatch
	at      int64
	fails   int
	got     map[string]int
	most    int
}

func (r *roll) Followed(context.Context, string) (int64, error) { return r.at, nil }

func (r *roll) Follow(_ context.Context, _ string, batch int64) error {
	r.at = batch
	return nil
}

func (r *roll) SealedBatches(_ context.Context, after int64, _ int) ([]authcore.EventBatch, error) {
	return r.batches[min(int(after), len(r.batches)):min(int(after)+2, len(r.batches))], nil
}

func (r *roll) SlugsOf(context.Context, []authcore.OrganizationID) (map[authcore.OrganizationID]string, error) {
	return nil, nil
}

func (r *roll) Collect(_ context.Context, id string, events []CollectedEvent) error {
	r.most = max(r.most, len(events))
	r.got[id] += len(events)
	if r.fails--; r.fails >= 0 {
		return errors.New("not now")
	}
	return nil
}

func (r *roll) Close() {}

func TestFollower(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &roll{got: make(map[string]int), fails: 3}
		for n := range 5 {
			b := authcore.EventBatch{Number: int64(n + 1)}
			for _, e := range some(250) {
				b.Events = append(b.Events, authcore.SealedEvent{Event: e.Event})
			}
			r.batches = append(r.batches, b)
		}
		var troubles int
		f := &Follower{Store: r, Collector: r, Name: "siem", Holder: "node", Now: time.Now, Bell: new(Bell), Tally: new(Tally), Trouble: func(err error) {
			if err != nil {
				troubles++
			}
		}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		f.Run(ctx)
		if r.at != 5 || len(r.got) != 15 || r.most != 100 || troubles != 3 || f.Tally.Told.Load() != 1250 {
			t.Errorf("at %d, %d parts of %d at most, %d troubles, %d told", r.at, len(r.got), r.most, troubles, f.Tally.Told.Load())
		}
		if r.got["audit-1-1"] != 400 || r.got["audit-5-3"] != 50 {
			t.Errorf("%v", r.got)
		}
	})
}
