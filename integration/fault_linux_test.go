package integration

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// smallDisk is a file system of some MiB that ends with the test. It is mounted in a
// namespace of its own, which needs no root where users may have such.
type smallDisk struct {
	path  string // for Caddy
	pid   int    // of the shell that lives in the namespace
	ask   io.Writer
	reply *bufio.Scanner
}

// startOnSmallDisk starts a Caddy that has its database, and nothing else, on a
// small disk. It gives nil where the system lets nobody mount: there, this is not
// tested, and store.TestFullDatabase has to do.
func startOnSmallDisk(t *testing.T) (*server, *smallDisk) {
	t.Helper()
	s, disk := startOnDisk(t, 8, shack("{{.Dir}}/disk/gate.db"))
	if s != nil {
		s.createOwner(t, alice)
	}
	return s, disk
}

// startOnDisk starts a Caddy with a disk of so many MiB at {{.Dir}}/disk, or gives
// nil.
func startOnDisk(t *testing.T, mib int, caddyfile string) (*server, *smallDisk) {
	t.Helper()
	if _, err := mountSmallDisk(t, t.TempDir(), mib); err != nil {
		t.Logf("NOT TESTED: no file system can be mounted here: %v", err)
		return nil, nil
	}
	var disk *smallDisk
	s := start(t, caddyfile, func(s *server) {
		var err error
		disk, err = mountSmallDisk(t, s.Dir, mib)
		must(t, err)
		s.Within = disk.enter()
	})
	return s, disk
}

// mountSmallDisk mounts one below a folder.
func mountSmallDisk(t *testing.T, below string, mib int) (*smallDisk, error) {
	t.Helper()
	args := []string{"--mount", "sh"}
	if os.Getuid() != 0 {
		args = append([]string{"--user", "--map-root-user"}, args...)
	}
	cmd := exec.Command("unshare", args...)
	cmd.Dir = below
	in, err := cmd.StdinPipe()
	must(t, err)
	out, replies, err := os.Pipe()
	must(t, err)
	cmd.Stdout, cmd.Stderr = replies, replies
	err = launch(cmd)
	replies.Close()
	if err != nil {
		out.Close()
		return nil, err
	}
	t.Cleanup(func() {
		in.Close() // the shell ends, and with it the namespace
		_ = cmd.Wait()
		out.Close()
	})
	d := &smallDisk{path: filepath.Join(below, "disk"), pid: cmd.Process.Pid, ask: in, reply: bufio.NewScanner(out)}
	must(t, os.MkdirAll(d.path, 0o700))
	return d, d.do(fmt.Sprintf("mount -t tmpfs -o size=%dm,mode=700 gate-test disk", mib))
}

// do runs a command in the namespace, in the folder that the disk is in.
func (d *smallDisk) do(command string) error {
	_, err := fmt.Fprintf(d.ask, "%s\necho status $?\n", command)
	var said []string
	for d.reply.Scan() {
		if status, ok := strings.CutPrefix(d.reply.Text(), "status "); ok && status == "0" {
			return nil
		} else if ok {
			return fmt.Errorf("%s: status %s: %s", command, status, said)
		}
		said = append(said, d.reply.Text())
	}
	return fmt.Errorf("%s: the shell ended: %s: %w", command, said, cmp.Or(err, d.reply.Err(), io.ErrUnexpectedEOF))
}

// enter is the command that runs another one in the namespace.
func (d *smallDisk) enter() []string {
	args := []string{"nsenter", "--target", fmt.Sprint(d.pid), "--mount", "--wd"}
	if os.Getuid() != 0 {
		args = append(args, "--user", "--preserve-credentials")
	}
	return args
}

// fill makes a file that takes all room, and gives its name.
func (d *smallDisk) fill(t *testing.T) string {
	t.Helper()
	name := filepath.Join("/proc", fmt.Sprint(d.pid), "root", d.path, "filler")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return name
}

// A full disk refuses sign-ins and what else must be written, and nobody who is
// signed in notices. With room again all goes on by itself.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s, disk := startOnSmallDisk(t)
	if s == nil {
		return
	}
	const host = "app.localhost"
	known := s.signsIn(t, host, alice)
	s.becomes(t, "signed in", host, known, http.StatusOK)
	unknown := s.signsIn(t, host, alice)

	filler := disk.fill(t)
	// The log of SQLite has been as long as this before; what it has it may use.
	var got page
	eventually(t, "a sign-in that finds no room", func() bool {
		got = s.Client(t).login(s.at(host, ""), alice)
		return got.StatusCode != http.StatusSeeOther
	})
	unavailable(t, got, true)
	for what, token := range map[string]string{"somebody who is signed in": known, "a session that is not in memory": unknown} {
		if got := s.asks(t, host, "/page", token); got.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", what, got.Status)
		}
	}
	if got := s.Client(t).login(s.at(host, ""), person{Username: "alice", Password: "wrong"}); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("a wrong password: %s", got.Status)
	}

	must(t, os.Remove(filler))
	token := s.signsIn(t, host, alice)
	s.becomes(t, "signed in with room again", host, token, http.StatusOK)
	s.must(t, "", "doctor")
}

// A disk that was full when the process was killed loses nothing, and Caddy starts
// on it once there is room.
func TestKillOnAFullDisk(t *testing.T) {
	t.Parallel()
	s, disk := startOnSmallDisk(t)
	if s == nil {
		return
	}
	const host = "app.localhost"
	load := newTraffic(t)
	load.mortal = true
	load.signIns(s, 4, alice, time.Millisecond)
	eventually(t, "sign-ins", func() bool { return load.count(signInKind, http.StatusSeeOther) > 50 })
	filler := disk.fill(t)
	eventually(t, "sign-ins that find no room", func() bool { return load.count(signInKind, http.StatusServiceUnavailable) > 20 })
	s.Kill(t)
	load.end()
	load.check()
	if err := s.run(); err != nil {
		complains(t, s, err, "gate.db cannot be opened", "check that the disk has room")
	}
	s.Kill(t)
	must(t, os.Remove(filler))
	must(t, s.run())
	good := load.acknowledged()
	s.allGood(t, host, good, alice)
	s.must(t, "", "doctor")
	t.Logf("%d sign-ins were acknowledged, and all of them are good", len(good))
}

// A disk that turned read-only is told by what to do about it.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	s, disk := startOnSmallDisk(t)
	if s == nil {
		return
	}
	s.Stop(t)
	must(t, disk.do("mount -o remount,bind,ro disk"))
	complains(t, s, s.run(), "gate.db cannot be opened", "read-only file system", "writable")
	out, _, exit := s.CLI(t, "", "doctor")
	if exit == 0 {
		t.Errorf("the doctor finds nothing wrong:\n%s", out)
	}
	must(t, disk.do("mount -o remount,bind,rw disk"))
	must(t, s.run())
	s.Client(t).signIn(s.at("app.localhost", ""), alice)
}
