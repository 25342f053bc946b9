package dbserver

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long a server may take to start or to stop, on a machine that
// is busy with other tests.
const patience = 2 * time.Minute

// Server is one server with its data. Its methods may be called at once.
type Server struct {
	Kind Kind

	product   product
	owner     owner
	dir       string
	port      int
	password  string
	durable   bool
	tls       bool
	databases atomic.Int64

	mu   sync.Mutex // held by whoever starts or ends the process
	proc *process   // nil before the first start
}

// Option changes a new server.
type Option func(*Server)

// Durable has the server wait for the disk at each commit, as it would for its
// users. Without it, what was committed outlives the server's process, and that
// is what tests can see.
func Durable(s *Server) { s.durable = true }

// New makes a server and starts it. It needs a second or two, and Close.
func New(kind Kind, options ...Option) (*Server, error) {
	product, err := find(kind)
	if err != nil {
		return nil, err
	}
	s := &Server{Kind: kind, product: product, password: rand.Text()}
	for _, option := range options {
		option(s)
	}
	if err := s.firstRun(); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) firstRun() error {
	var err error
	if s.owner, err = findOwner(s.product.accounts()); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "gate-db-"); err != nil {
		return err
	}
	if err := s.owner.give(s.dir); err != nil {
		return err
	}
	if s.tls {
		if err := s.createCertificates(); err != nil {
			return err
		}
	}
	if err := s.product.create(s); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = errPortTaken
	for range 10 {
		if !errors.Is(err, errPortTaken) {
			break
		}
		s.port = freePort()
		err = s.start(ctx)
	}
	if err != nil {
		return err
	}
	return s.exec(ctx, s.product.newUser(User, s.password))
}

// Start starts a server that was stopped or killed, on the same port and data.
func (s *Server) Start() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := s.start(ctx)
		if !errors.Is(err, errPortTaken) {
			return err
		}
		select { // somebody's connection may have the port for a while
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// Stop ends the server in good order, without waiting for its clients to leave.
// One that does not run is no error.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.proc.running() {
		return nil
	}
	if err := s.proc.stop(); err != nil {
		return fmt.Errorf("%w; its log:\n%s", err, s.Log())
	}
	return nil
}

// Kill ends all processes of the server without a chance to write anything, and
// waits until they are gone. PostgreSQL then leaves some bytes of shared memory with
// the system, for the next Start to find.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.proc.running() {
		return nil
	}
	return s.proc.kill()
}

// Pause freezes all processes of the server: connections stay, and nobody
// answers. It returns once they stand still. Should the tests be killed meanwhile,
// PostgreSQL's children stay as they are.
func (s *Server) Pause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.proc.running() {
		return errors.New("dbserver: there is nothing to pause")
	}
	return s.proc.pause()
}

// Resume lets a paused server go on.
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.proc.running() {
		return errors.New("dbserver: there is nothing to resume")
	}
	return s.proc.resume()
}

// Close stops the server and removes all that it wrote, its log too.
func (s *Server) Close() error {
	err := s.Stop()
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// Addr is where the server listens, as host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Log is what the server wrote to its log, in all its runs.
func (s *Server) Log() string {
	log, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(log)
}

func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }
func (s *Server) data() string    { return filepath.Join(s.dir, "data") }

var errPortTaken = errors.New("dbserver: another program has the port")

// start runs the server and waits until it lets Admin in.
func (s *Server) start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc.running() {
		return errors.New("dbserver: the server runs already")
	}
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	before := len(s.Log())
	args := s.product.command(s)
	cmd := s.command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if s.proc, err = launch(cmd, s.Kind); err != nil {
		return fmt.Errorf("dbserver: %w", err)
	}
	if s.ready(ctx, s.proc.done) {
		return nil
	}
	if s.proc.running() {
		_ = s.proc.kill()
		return fmt.Errorf("dbserver: %s is not ready: %w; its log:\n%s", s.Kind, context.Cause(ctx), s.Log()[before:])
	}
	if strings.Contains(s.Log()[before:], "ddress already in use") {
		return errPortTaken
	}
	return fmt.Errorf("dbserver: %s ended: %s; its log:\n%s", s.Kind, s.proc.cmd.ProcessState, s.Log()[before:])
}

// ready tells whether the server lets Admin in before it is done or the context
// ends.
func (s *Server) ready(ctx context.Context, done <-chan struct{}) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // a stranger who has the port may let us wait
		select {
		case <-done:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		if s.ping(ctx) == nil {
			return true
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return false
		}
	}
}

// run runs a program that prepares the data folder, to its end.
func (s *Server) run(name string, args ...string) error {
	var out strings.Builder
	cmd := s.command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	p, err := launch(cmd, s.Kind)
	if err != nil {
		return fmt.Errorf("dbserver: %w", err)
	}
	if err := p.wait(); err != nil {
		return fmt.Errorf("dbserver: %s: %w:\n%s", name, err, out.String())
	}
	return nil
}

// command is a program in the server's folder, in the name of its owner. Its
// messages are in English.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = s.dir, []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + s.dir, "LC_ALL=C"}
	s.owner.own(cmd)
	return cmd
}

// freePort gives a port that no program has. The system hands out none of these
// for connections, which would block the restart of a server.
func freePort() int {
	for {
		var chance [2]byte
		_, _ = rand.Read(chance[:])
		port := 10000 + int(binary.BigEndian.Uint16(chance[:]))%20000
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		_ = l.Close()
		return port
	}
}
