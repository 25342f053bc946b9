package integration

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// mayMount tells whether a file system can be mounted here. Only root can, and not
// in every container; elsewhere store.TestFullDatabase has to do.
func mayMount(t *testing.T) bool {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("gate-test", dir, "tmpfs", 0, "size=1m")
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Logf("no file system can be mounted here: %v", err)
		return false
	}
	must(t, err)
	must(t, syscall.Unmount(dir, 0))
	return true
}

// smallDisk mounts a file system of its own, which ends with the test.
func smallDisk(t *testing.T, dir string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	must(t, syscall.Mount("gate-test", dir, "tmpfs", 0, "size=4m"))
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// A full disk refuses sign-ins and what else must be written, and nobody who is
// signed in notices. With room again all goes on by itself.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if !mayMount(t) {
		return
	}
	var disk string
	s := start(t, shack("{{.Dir}}/disk/gate.db"), func(s *server) {
		disk = filepath.Join(s.Dir, "disk")
		smallDisk(t, disk)
	})
	s.createOwner(t, alice)
	const host = "app.localhost"
	known := s.signsIn(t, host, alice)
	s.becomes(t, "signed in", host, known, http.StatusOK)
	unknown := s.signsIn(t, host, alice)

	filler, err := os.Create(filepath.Join(disk, "filler"))
	must(t, err)
	defer filler.Close()
	for err == nil {
		_, err = filler.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
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

	must(t, filler.Truncate(0))
	token := s.signsIn(t, host, alice)
	s.becomes(t, "signed in with room again", host, token, http.StatusOK)
	s.must(t, "", "doctor")
}

// A disk that was full when the process was killed loses nothing, and Caddy starts
// on it once there is room.
func TestKillOnAFullDisk(t *testing.T) {
	t.Parallel()
	if !mayMount(t) {
		return
	}
	var disk string
	s := start(t, shack("{{.Dir}}/disk/gate.db"), func(s *server) {
		disk = filepath.Join(s.Dir, "disk")
		smallDisk(t, disk)
	})
	s.createOwner(t, alice)
	const host = "app.localhost"
	load := newTraffic(t)
	load.mortal = true
	load.signIns(s, 4, alice, time.Millisecond)
	eventually(t, "sign-ins", func() bool { return load.count(signInKind, http.StatusSeeOther) > 50 })
	filler := filepath.Join(disk, "filler")
	for {
		f, err := os.OpenFile(filler, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		must(t, err)
		_, err = f.Write(make([]byte, 64<<10))
		f.Close()
		if err != nil {
			break
		}
	}
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
	if !mayMount(t) {
		return
	}
	s := start(t, shack("{{.Dir}}/disk/gate.db"), func(s *server) { smallDisk(t, filepath.Join(s.Dir, "disk")) })
	s.createOwner(t, alice)
	s.Stop(t)
	disk := filepath.Join(s.Dir, "disk")
	must(t, syscall.Mount("", disk, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	complains(t, s, s.run(), "gate.db cannot be opened", "read-only file system", "writable")
	out, _, exit := s.CLI(t, "", "doctor")
	if exit == 0 {
		t.Errorf("the doctor finds nothing wrong:\n%s", out)
	}
	must(t, syscall.Mount("", disk, "", syscall.MS_REMOUNT, ""))
	must(t, s.run())
	s.Client(t).signIn(s.at("app.localhost", ""), alice)
}
