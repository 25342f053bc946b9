//go:build unix

package dbserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

const terminate = syscall.SIGTERM

// pause stops the first process, so that it makes no others, and then the others.
// What it made while it was being stopped shows at a second look.
func (p *process) pause() error {
	pid := p.cmd.Process.Pid
	before := false
	return until(func() (bool, error) {
		all, err := family(pid)
		if err != nil {
			return false, err
		}
		still := true
		for _, each := range all {
			if each.state == 'T' || each.ended() {
				continue
			}
			still = false
			if err := signal(each.pid, syscall.SIGSTOP); err != nil {
				return false, err
			}
			if each.pid == pid {
				break // look again when it stands still
			}
		}
		again := before
		before = still
		return still && again, nil
	})
}

func (p *process) resume() error {
	all, err := family(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	for _, each := range all {
		err = errors.Join(err, signal(each.pid, syscall.SIGCONT))
	}
	return err
}

func (p *process) kill() error {
	if err := p.pause(); err != nil { // nobody makes a process, or sees another one's end
		return errors.Join(err, p.cmd.Process.Kill())
	}
	all, err := family(p.cmd.Process.Pid)
	if err != nil {
		return errors.Join(err, p.cmd.Process.Kill())
	}
	var pids []int
	for _, each := range all {
		pids = append(pids, each.pid)
		err = errors.Join(err, signal(each.pid, syscall.SIGKILL))
	}
	if err != nil {
		return err
	}
	<-p.done
	return until(func() (bool, error) { return ended(pids) })
}

// ended tells whether all these processes are gone.
func ended(pids []int) (bool, error) {
	now, err := processes()
	if err != nil {
		return false, err
	}
	for _, pid := range pids {
		if found, ok := now[pid]; ok && !found.ended() {
			return false, nil
		}
	}
	return true, nil
}

// signal sends a signal to a process that may be gone.
func signal(pid int, sig syscall.Signal) error {
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("dbserver: %s for process %d: %w", sig, pid, err)
	}
	return nil
}

// status is what the system says of a process.
type status struct {
	pid, parent int
	state       byte // as ps(1) shows it
}

// ended is a zombie, that nobody has waited for yet.
func (s status) ended() bool { return s.state == 'Z' || s.state == 'X' }

// family is a process, if it is there, and its children. A server's children have
// none.
func family(pid int) ([]status, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	var found []status
	if first, ok := all[pid]; ok {
		found = append(found, first)
	}
	for _, each := range all {
		if each.parent == pid {
			found = append(found, each)
		}
	}
	return found, nil
}

// owner is whom the processes and files of a server belong to; nil is whoever
// runs the tests.
type owner struct{ credential *syscall.Credential }

// findOwner gives root, who runs no server, the first of the users that exists.
func findOwner(names []string) (owner, error) {
	if os.Getuid() != 0 {
		return owner{}, nil
	}
	for _, name := range names {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(found.Uid, 10, 32)
		if err != nil {
			return owner{}, err
		}
		gid, err := strconv.ParseUint(found.Gid, 10, 32)
		if err != nil {
			return owner{}, err
		}
		return owner{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return owner{}, fmt.Errorf("dbserver: root needs one of the users %q to run a server", names)
}

func (o owner) give(path string) error {
	if o.credential == nil {
		return nil
	}
	return os.Chown(path, int(o.credential.Uid), int(o.credential.Gid))
}

// own has the command run in the owner's name.
func (o owner) own(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Credential: o.credential} }
