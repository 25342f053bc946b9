package dbserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// process is the first process of a running server, or a program that prepares one.
type process struct {
	kind Kind
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // of its end; read after done
}

// launches hands processes to one thread that lives as long as the tests: where
// the system can tie a child to the thread that made it, a test binary that is
// killed leaves no server behind.
var launches = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

func launch(cmd *exec.Cmd, kind Kind) (*process, error) {
	dieWithParent(cmd)
	result := make(chan error)
	launches() <- func() { result <- cmd.Start() }
	if err := <-result; err != nil {
		return nil, err
	}
	p := &process{kind: kind, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// wait waits for the end.
func (p *process) wait() error {
	select {
	case <-p.done:
		return p.err
	case <-time.After(patience):
		return errors.Join(fmt.Errorf("it did not end within %s", patience), p.kill())
	}
}

// stop ends a server in good order, even a paused one.
func (p *process) stop() error {
	if err := p.resume(); err != nil {
		return err
	}
	if err := p.cmd.Process.Signal(p.quitSignal()); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if err := p.wait(); err != nil {
		return fmt.Errorf("dbserver: %s stopped badly: %w", p.kind, err)
	}
	return nil
}

// quitSignal has PostgreSQL disconnect its clients; a SIGTERM would wait for them.
func (p *process) quitSignal() os.Signal {
	if p.kind == PostgreSQL {
		return os.Interrupt
	}
	return terminate
}

// until polls a condition.
func until(condition func() (bool, error)) error {
	for deadline := time.Now().Add(patience); ; {
		ok, err := condition()
		if ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("dbserver: gave up after %s", patience)
		}
		time.Sleep(time.Millisecond)
	}
}
