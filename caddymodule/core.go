package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/audit"
	"github.com/gatehouse-auth/gatehouse/authcore/limit"
	"github.com/gatehouse-auth/gatehouse/authcore/oidcop"
	"github.com/gatehouse-auth/gatehouse/authcore/password"
	"github.com/gatehouse-auth/gatehouse/authcore/web"
	"github.com/gatehouse-auth/gatehouse/authcore/web/api"
	"github.com/gatehouse-auth/gatehouse/authcore/webhook"
	"github.com/gatehouse-auth/gatehouse/store"
)

// cores holds one core for each database, across reloads.
var cores = caddy.NewUsagePool()

// core is what outlives a reload. It keeps neither a context nor a logger of a
// configuration that has gone.
type core struct {
	config store.Config
	node   string      // names this process in leases
	brief  bool        // opened for one command
	ready  atomic.Bool // the database is open and up to date

	mu        sync.Mutex
	db        *store.DB
	key       authcore.SecretKey
	sessions  *authcore.Sessions
	keys      *authcore.Keys
	oauth     *oidcop.State
	audit     *audit.Actor
	hashing   *password.Gate
	address   *limit.Limiter
	account   *limit.Limiter
	factor    *limit.Limiter
	notices   *limit.Limiter
	spread    *limit.Spread
	tally     authcore.Tally
	mailbox   *limit.Limiter // messages that strangers cause
	mailCode  *limit.Limiter // wrong codes from mails
	tries     *limit.Limiter // deliveries by hand
	userCode  *limit.Limiter // wrong codes of devices
	devices   *limit.Limiter // codes that devices ask for
	mails     mailTally
	told      webhook.Tally
	bell      webhook.Bell    // rings when events were sealed
	later     *authcore.Later // what is done after an answer
	measures  measures
	attached  []attached
	setup     authcore.Secret // the setup link's token, while there is no owner
	setupEnd  time.Time
	cancel    context.CancelFunc
	ended     sync.WaitGroup
	busy      atomic.Int64 // requests to our own pages under way
	keep      atomic.Int64 // nanoseconds that events are kept, 0 is forever
	anonymise atomic.Int64 // nanoseconds until what is personal is taken from events, 0 is never
	idle      atomic.Int64 // for the cleanup: nanoseconds after the last-seen time in the database when a session has surely ended
}

// The paces that no configuration changes.
var (
	// factorPace is that of wrong second factors of one account: of a million codes three
	// are right at a time, so that guesses would need years.
	factorPace = limit.Pace{Burst: 10, First: 2 * time.Minute, Longest: time.Hour}
	// mailCodePace is that of wrong codes from mails.
	mailCodePace = limit.Pace{Burst: 5, First: 10 * time.Minute, Longest: time.Hour}
	// mailboxPace is that of messages to one address that strangers cause.
	mailboxPace = limit.Pace{Burst: 3, First: 10 * time.Minute}
	// triesPace is that of what one organization has sent to webhooks by hand.
	triesPace = limit.Pace{Burst: 10, First: 10 * time.Second, Longest: time.Minute}
	// userCodePace is that of wrong codes of devices that one user types, or one address:
	// there are 2^34 codes.
	userCodePace = limit.Pace{Burst: 5, First: 30 * time.Second, Longest: time.Hour}
	// devicesPace is that of codes for devices which one address asks for.
	devicesPace = limit.Pace{Burst: 60, First: time.Second, Longest: time.Minute}
	// noticePace is that of events about what one address was refused.
	noticePace = limit.Pace{Burst: 5, First: time.Minute}
)

// attached is a configuration that runs on the core.
type attached struct {
	app    *App
	values values
}

func newCore(c store.Config) *core {
	return &core{config: c, node: uuid.NewString(), measures: newMeasures()}
}

// log is Caddy's logger of now: the one of an earlier configuration may lead
// nowhere.
func (c *core) log() *zap.Logger { return caddy.Log().Named("gate") }

// open opens the database and puts the parts together, once.
func (c *core) open(ctx context.Context, v values) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ready.Load() {
		key, err := loadKey(c.config, v.secretKey, true)
		if err == nil && key.ID() != c.key.ID() {
			err = errors.New("the secret key cannot change in a reload")
		}
		return err
	}
	db, err := store.Open(ctx, c.config)
	if err != nil {
		return err
	}
	if c.key, err = bindKey(ctx, db, c.config, v.secretKey); err != nil {
		db.Close()
		return err
	}
	c.db = db
	c.sessions = authcore.NewSessions(db, time.Now, web.Prepare)
	db.UseKey(c.key)
	db.OnSealed(c.bell.Ring)
	c.keys = authcore.NewKeys(db, c.key, time.Now)
	c.oauth = oidcop.NewState(db, c.sessions, time.Now)
	var spill *audit.SpillPlace
	if !c.brief { // the files would belong to who types the command
		spill = spillPlace(c.config, v.spill)
	}
	c.audit = audit.New(timedEvents{db, c.measures}, v.audit, audit.Parts{Spill: spill, Now: time.Now, Alarm: c.alarm,
		Report: c.complaint("audit events wait: they cannot be written").report})
	c.hashing = password.NewGate(v.permits)
	c.hashing.Observe(func() (end func(ran bool)) {
		over, measured := procs.hashing(), c.measures.hashing()
		return func(ran bool) {
			over()
			if ran {
				measured()
			}
		}
	})
	c.address = limit.New(v.address, time.Now)
	c.notices = limit.New(noticePace, time.Now)
	c.spread = limit.NewSpread(authcore.AlarmAccounts, authcore.AlarmWithin, time.Now)
	c.factor = limit.New(factorPace, time.Now)
	c.mailbox = limit.New(mailboxPace, time.Now)
	c.mailCode = limit.New(mailCodePace, time.Now)
	c.tries = limit.New(triesPace, time.Now)
	c.userCode = limit.New(userCodePace, time.Now)
	c.devices = limit.New(devicesPace, time.Now)
	c.later = authcore.NewLater(func(err error) { c.log().Error("what was to be done after an answer failed", zap.Error(err)) })
	c.account = limit.New(v.account, time.Now)
	c.apply(v)
	c.ready.Store(true)
	return nil
}

// serve starts what runs beside requests, once. The command line does without.
func (c *core) serve() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.ended.Go(func() { c.sessions.Listen(ctx, c.complaint("the database does not answer").report) })
	c.ended.Go(func() { c.sessions.Run(ctx, c.complaint("last-seen times wait: they cannot be written").report) })
	c.ended.Go(func() { c.keys.Run(ctx, c.complaint("the signing keys cannot be read").report) })
	c.ended.Go(func() { c.oauth.Run(ctx) })
	c.ended.Go(func() { c.clean(ctx, cleanEvery) })
	c.ended.Go(func() { c.later.Run(ctx) })
}

// attach makes a configuration's settings count from now on.
func (c *core) attach(a *App, v values) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attached = append(c.attached, attached{a, v})
	c.apply(v)
	procs.add(c, v.permits)
}

// detach brings the settings of the configuration before it back, where a reload
// failed after attach.
func (c *core) detach(a *App) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attached = slices.DeleteFunc(c.attached, func(at attached) bool { return at.app == a })
	if n := len(c.attached); n > 0 && c.ready.Load() {
		c.apply(c.attached[n-1].values)
		procs.add(c, c.attached[n-1].values.permits)
	}
}

// apply sets what configurations on one core share. c.mu is held.
func (c *core) apply(v values) {
	c.db.Configure(v.database)
	c.hashing.SetPermits(v.permits)
	c.hashing.SetWait(v.wait)
	c.audit.Configure(v.audit)
	c.keep.Store(int64(v.keep))
	c.anonymise.Store(int64(v.anonymise))
	c.sessions.WriteEvery(v.writeEvery)
	c.sessions.MaxSilence(v.silence)
	c.sessions.Honour(v.providerNames())
	c.address.Configure(v.address)
	c.account.Configure(v.account)
	c.idle.Store(int64(v.lifetime.Idle + v.writeEvery + time.Minute)) // memory may know a later time
}

// alarm logs what must not be overlooked: events are lost, or may be.
func (c *core) alarm(err error) { c.log().Error("the audit log is in danger", zap.Error(err)) }

// spillPlace is where events go that the database does not take. The name keeps
// those of several databases apart.
func spillPlace(c store.Config, dir string) *audit.SpillPlace {
	name := filepath.Base(c.Path) + "-audit"
	if c.Driver != store.SQLite {
		_, id, _ := strings.Cut(c.Key(), ":")
		name = "audit-" + id[:16]
	}
	return &audit.SpillPlace{Dir: dir, Name: name}
}

// accounts puts the services together for one configuration.
func (c *core) accounts(v values) (*authcore.Accounts, error) {
	hasher, err := password.NewHasher(c.hashing, v.params)
	if err != nil {
		return nil, err
	}
	rules := v.rules
	if v.breached != "" {
		if rules.Breached, err = password.OpenBreached(v.breached); err != nil {
			return nil, fmt.Errorf("password_rules breached: %w", err)
		}
	}
	accounts := &authcore.Accounts{Store: c.db, Sessions: c.sessions, Passwords: hasher, Rules: rules,
		Register: v.register, OrganizationsOpen: v.organizationsOpen, ActUntold: v.actUntold, Invites: v.invites(), PasswordOff: v.passwordOff, PasskeysOff: v.passkeys.Off, TokenSealer: c.key.NewSealer("provider tokens", time.Now), FactorSealer: c.key.NewSealer("second factor", time.Now), ClientSealer: c.key.NewSealer("organization provider", time.Now), Lifetime: v.lifetime, TrustFor: v.trustFor, DeleteAfter: v.deleteAfter, KeepAccounts: v.keepUsers, Audit: c.audit, ByAddress: c.address, ByAccount: c.account, ByFactor: c.factor, ByUserCode: c.userCode, DeviceCodes: c.devices, Spread: c.spread, Notices: c.notices, Tally: &c.tally, Now: time.Now}
	accounts.Webhooking = authcore.Webhooking{Sealer: c.webhookSealer(), CheckURL: v.webhooks.CheckURL, Wake: c.bell.Ring, Tries: c.tries}
	if v.mail != nil {
		accounts.Mail = &authcore.Mailing{Sealer: c.mailSealer(), ByMailbox: c.mailbox, ByCode: c.mailCode, NoSignIn: v.mail.noSignIn, Later: c.later, Origin: v.portalText()}
	}
	return accounts, nil
}

// api is the JSON API on some accounts.
func (c *core) api(accounts *authcore.Accounts, log *slog.Logger) *api.Server {
	return &api.Server{Accounts: accounts, Answers: c.key.NewSealer("api answers", time.Now), Cursors: c.key.NewSealer("api cursors", time.Now), Log: log}
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
	procs.add(c, 0)
	if !c.ready.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	finish, stop := context.WithTimeout(ctx, drainLimit/3)
	defer stop()
	for c.busy.Load() > 0 && sleep(finish, 5*time.Millisecond) {
		continue
	}
	if c.cancel != nil {
		c.cancel()
	}
	c.ended.Wait()
	if err := c.audit.Close(ctx); err != nil {
		c.log().Error("events were lost since the start", zap.Error(err))
	}
	err := c.sessions.Flush(ctx)
	if c.cancel != nil {
		err = errors.Join(err, c.db.DropLease(ctx, cleanupLease, c.node))
	}
	return errors.Join(err, c.db.Close())
}

// offerSetup shows a setup link while there is no owner, in the log and, where
// somebody looks at one, on the terminal.
func (c *core) offerSetup(ctx context.Context, in *instance, log *zap.Logger) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.setup == "" || time.Now().After(c.setupEnd) {
		token, err := in.accounts.OpenSetup(ctx)
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
	base := in.pagesOrigin()
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

// use counts a request to our own pages, so that the core waits for it.
func (c *core) use() (done func()) {
	c.busy.Add(1)
	return func() { c.busy.Add(-1) }
}
