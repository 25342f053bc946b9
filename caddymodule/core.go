package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/audit"
	"github.com/gatehouse-auth/gatehouse/authcore/limit"
	"github.com/gatehouse-auth/gatehouse/authcore/password"
	"github.com/gatehouse-auth/gatehouse/authcore/web"
	"github.com/gatehouse-auth/gatehouse/store"
)

// cores holds one core for each database, across reloads.
var cores = caddy.NewUsagePool()

// core is what outlives a reload. It keeps neither a context nor a logger of any
// one configuration.
type core struct {
	config store.Config
	log    *zap.Logger
	ready  atomic.Bool // the database is open and up to date

	mu       sync.Mutex
	db       *store.DB
	key      authcore.SecretKey
	sessions *authcore.Sessions
	audit    *audit.Actor
	hashing  *password.Gate
	address  *limit.Limiter
	account  *limit.Limiter
	attached []attached
	setup    authcore.Secret // the setup link's token, while there is no owner
	setupEnd time.Time
	cancel   context.CancelFunc
	ended    sync.WaitGroup
	busy     atomic.Int64 // requests to our own pages under way
	idle     atomic.Int64 // session idle time in nanoseconds, for the cleanup
}

// attached is a configuration that runs on the core.
type attached struct {
	app    *App
	values values
}

func newCore(c store.Config) *core {
	return &core{config: c, log: caddy.Log().Named("gate")}
}

// open opens the database and starts what runs beside requests, once.
func (c *core) open(ctx context.Context, v values) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	key, err := loadKey(c.config, v.secretKey)
	if err != nil {
		return err
	}
	if c.ready.Load() {
		if key.ID() != c.key.ID() {
			return errors.New("the secret key cannot change in a reload")
		}
		return nil
	}
	db, err := store.Open(ctx, c.config)
	if err != nil {
		return err
	}
	if err := db.BindKey(ctx, key.ID()); err != nil {
		db.Close()
		return err
	}
	c.db, c.key = db, key
	c.sessions = authcore.NewSessions(db, time.Now, web.Prepare)
	c.audit = audit.New(db, func(err error) { c.log.Error("audit events wait: they cannot be written", zap.Error(err)) })
	c.hashing = password.NewGate(v.permits)
	c.address = limit.New(v.address.burst, v.address.every, time.Now)
	c.account = limit.New(v.account.burst, v.account.every, time.Now)
	c.apply(v)
	background, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.ended.Go(func() {
		c.sessions.Run(background, func(err error) { c.log.Error("the database does not answer", zap.Error(err)) })
	})
	c.ended.Go(func() { c.clean(background) })
	c.ready.Store(true)
	return nil
}

// attach makes a configuration's settings count from now on.
func (c *core) attach(a *App, v values) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attached = append(c.attached, attached{a, v})
	c.apply(v)
}

// detach brings the settings of the configuration before it back, where a reload
// failed after attach.
func (c *core) detach(a *App) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, at := range c.attached {
		if at.app == a {
			c.attached = append(c.attached[:i], c.attached[i+1:]...)
			break
		}
	}
	if n := len(c.attached); n > 0 && c.ready.Load() {
		c.apply(c.attached[n-1].values)
	}
}

// apply sets what configurations on one core share. c.mu is held.
func (c *core) apply(v values) {
	c.hashing.SetPermits(v.permits)
	c.hashing.SetWait(v.wait)
	c.sessions.WriteEvery(v.writeEvery)
	c.address.Configure(v.address.burst, v.address.every)
	c.account.Configure(v.account.burst, v.account.every)
	c.idle.Store(int64(v.lifetime.Idle))
}

// accounts puts the services together for one configuration.
func (c *core) accounts(v values) (*authcore.Accounts, error) {
	hasher, err := password.NewHasher(c.hashing, v.params)
	if err != nil {
		return nil, err
	}
	return &authcore.Accounts{Store: c.db, Sessions: c.sessions, Passwords: hasher, Rules: password.DefaultRules,
		Register: v.register, Lifetime: v.lifetime, Audit: c.audit, ByAddress: c.address, ByAccount: c.account, Now: time.Now}, nil
}

// cleanEvery is how often what has ended is deleted.
const cleanEvery = 10 * time.Minute

func (c *core) clean(ctx context.Context) {
	tick := time.NewTicker(cleanEvery)
	defer tick.Stop()
	for {
		now := time.Now()
		more, err := c.db.DeleteEnded(ctx, now, now.Add(-time.Duration(c.idle.Load())))
		if err != nil && ctx.Err() == nil {
			c.log.Warn("cleanup of ended sessions failed, it will be tried again", zap.Error(err))
		}
		if more {
			if !sleep(ctx, 100*time.Millisecond) { // let others have the writer
				return
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (c *core) hasten() {
	if c.ready.Load() {
		c.audit.Hasten()
	}
}

// drainLimit bounds how long the end may take: Caddy's own service unit kills
// after five seconds.
const drainLimit = 1500 * time.Millisecond

// Destruct writes what waits and closes the database. It implements
// caddy.Destructor.
func (c *core) Destruct() error {
	if !c.ready.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	for c.busy.Load() > 0 && sleep(ctx, 5*time.Millisecond) {
		continue
	}
	c.cancel()
	c.ended.Wait()
	c.audit.Close(ctx)
	err := c.sessions.Flush(ctx)
	if lost := c.audit.Dropped(); lost > 0 {
		c.log.Error("audit events were lost", zap.Uint64("events", lost))
	}
	return errors.Join(err, c.db.Close())
}

// offerSetup shows a setup link while there is no owner, in the log and, where
// somebody looks at one, on the terminal.
func (c *core) offerSetup(ctx context.Context, rt *runtimeOf, log *zap.Logger) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.setup == "" || time.Now().After(c.setupEnd) {
		token, err := rt.accounts.OpenSetup(ctx)
		if errors.Is(err, authcore.ErrSetupClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		c.setup, c.setupEnd = token, time.Now().Add(23*time.Hour)
	} else if closed, err := c.db.SetupClosed(ctx); err != nil || closed {
		return err
	}
	base := rt.pagesOrigin()
	if base == "" {
		log.Warn("there is no owner yet, and no site with a sign-in page: add `gate` or `gate_portal` to a site, " +
			"or run: caddy gate user add NAME --owner --password-stdin")
		return nil
	}
	link := base + web.Prefix + "setup?token=" + c.setup.Reveal()
	log.Warn("there is no owner yet: open this link to create the first one", zap.String("setup_link", link))
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		fmt.Fprintf(os.Stderr, "\n  Gatehouse has no owner yet. Create one here:\n\n    %s\n\n", link)
	}
	return nil
}

// loadKey gives the secret key: the one that is configured, or for SQLite the one
// in the file beside the database, which is made the first time.
func loadKey(c store.Config, configured authcore.Secret) (authcore.SecretKey, error) {
	if configured != "" {
		return authcore.ParseSecretKey(configured)
	}
	path := c.Path + ".key"
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return makeKey(path)
	}
	if err != nil {
		return authcore.SecretKey{}, fmt.Errorf("the secret key cannot be read: %w", err)
	}
	key, err := authcore.ParseSecretKey(authcore.Secret(text))
	if err != nil {
		return key, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// makeKey writes a new key, whole or not at all. Of two processes that make one
// at the same time, both use the one that came first.
func makeKey(path string) (authcore.SecretKey, error) {
	fail := func(err error) (authcore.SecretKey, error) {
		return authcore.SecretKey{}, fmt.Errorf("the secret key cannot be made: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fail(err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return fail(err)
	}
	defer os.Remove(f.Name())
	key := authcore.NewSecretKey()
	_, err = f.WriteString(key.Text().Reveal() + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fail(err)
	}
	if err := os.Link(f.Name(), path); err != nil {
		if !errors.Is(err, os.ErrExist) { // a file system without hard links
			if err := os.Rename(f.Name(), path); err != nil {
				return fail(err)
			}
			return key, nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return fail(err)
		}
		return authcore.ParseSecretKey(authcore.Secret(text))
	}
	return key, nil
}
