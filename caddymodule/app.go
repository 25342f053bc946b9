package caddymodule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/connect"
	"github.com/gatehouse-auth/gatehouse/authcore/mail"
	"github.com/gatehouse-auth/gatehouse/store"
)

func init() {
	caddy.RegisterModule(new(App))
	caddy.RegisterModule(new(Gate))
	caddy.RegisterModule(new(Portal))
	caddy.RegisterModule(new(Verify))
	caddy.RegisterModule(new(Match))
	caddy.RegisterModule(new(adminAPI))
}

// App is the gate as one configuration describes it.
type App struct {
	Settings

	ctx       caddy.Context
	log       *zap.Logger
	values    values
	policies  map[string]*access.Policy
	providers *connect.Providers
	core      *core
	instance  atomic.Pointer[instance]
	build     sync.Mutex
	asking    asking
	posting   posting
	telling   telling
	templates *mail.Templates // nil where no mail is sent
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)

// CaddyModule implements caddy.Module.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "gate", New: func() caddy.Module { return new(App) }}
}

// Provision expands and checks the settings and takes hold of the core. It
// touches no database, so that `caddy validate` leaves nothing behind.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.log = ctx, ctx.Logger()
	var err error
	expand := expander()
	if a.values, err = a.resolve(expand); err != nil {
		return err
	}
	if a.policies, err = a.compilePolicies(expand); err != nil {
		return err
	}
	if a.providers, err = newProviders(a.values.providers); err != nil {
		return err
	}
	if m := a.values.mail; m != nil {
		if a.templates, err = mail.ParseTemplates(m.templates); err != nil {
			return fmt.Errorf("mail: %w", err)
		}
	}
	held, _, err := cores.LoadOrNew(a.values.database.Key(), func() (caddy.Destructor, error) {
		return newCore(a.values.database), nil
	})
	if err != nil {
		return err
	}
	a.core = held.(*core)
	if err := ctx.GetMetricsRegistry().Register(collector{a.core}); err != nil {
		return err
	}
	events, err := ctx.App("events")
	if err != nil {
		return err
	}
	return events.(*caddyevents.App).On("stopping", stopping{a.core})
}

// expander expands placeholders in settings; an unknown or empty one is an error
// rather than an empty secret.
func expander() func(string) (string, error) {
	repl := caddy.NewReplacer()
	return func(s string) (string, error) {
		out, err := repl.ReplaceOrErr(s, true, true)
		if err != nil {
			return "", fmt.Errorf("a setting of the gate cannot be read: %w", err)
		}
		return out, nil
	}
}

func (a *App) compilePolicies(expand func(string) (string, error)) (map[string]*access.Policy, error) {
	all := make(map[string]*access.Policy, len(a.Policies))
	for _, p := range a.Policies {
		compiled, err := p.compile(expand)
		if err == nil {
			err = a.checkProviders(&p, p.Lines)
		}
		if err != nil {
			return nil, err
		}
		if all[p.Name] != nil {
			return nil, fmt.Errorf("policy %s is defined twice", p.Name)
		}
		all[p.Name] = compiled
	}
	return all, nil
}

// checkProviders refuses terms of a policy that name a provider which is not there.
func (a *App) checkProviders(p *PolicySettings, lines []PolicyLine) error {
	for _, line := range lines {
		for _, arg := range line.Args {
			name, found := strings.CutPrefix(arg, "provider:")
			if found && !strings.Contains(name, "{") && !slices.Contains(a.values.providerNames(), name) {
				return fmt.Errorf("policy %s: %w, at %s", p.Name, noProvider(name), cmp.Or(line.At, p.at))
			}
		}
		if err := a.checkProviders(p, line.Lines); err != nil {
			return err
		}
	}
	return nil
}

// Start opens the database where it is not open yet, and checks what only the
// whole configuration can tell.
func (a *App) Start() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := a.open(ctx); err != nil {
		return err
	}
	a.core.serve()
	rt, err := a.running()
	if err != nil {
		return err
	}
	a.core.attach(a, a.values)
	a.asking.start(rt)
	a.posting.start(rt)
	a.telling.start(rt)
	return a.core.offerSetup(ctx, rt, a.log)
}

// open opens the database. One that is a server may be starting as well: it is
// waited for, as long as ctx allows.
func (a *App) open(ctx context.Context) error {
	for said := false; ; said = true {
		err := a.core.open(ctx, a.values)
		if err == nil || !store.NotYet(err) {
			return err
		}
		if !said {
			a.log.Warn("waiting for the database", zap.Error(err))
		}
		if !sleep(ctx, 500*time.Millisecond) {
			return err
		}
	}
}

// Stop has nothing to end: requests may still run, and what they need goes with
// the last reference to the core.
func (a *App) Stop() error { return nil }

// Cleanup lets go of the core. When it was the last to hold it, the core writes
// what waits and closes the database.
func (a *App) Cleanup() error {
	if a.core == nil {
		return nil // Provision had not come that far
	}
	a.asking.end()
	a.posting.end()
	a.telling.end()
	a.core.detach(a)
	_, err := cores.Delete(a.values.database.Key())
	return err
}

// stopping is told that the configuration stops. When the whole process does, the
// audit actor writes nearly through, because nobody knows how long it is given. It
// is a type of its own because Caddy logs handlers with all their fields.
type stopping struct{ core *core }

var _ caddyevents.Handler = stopping{}

// Handle implements caddyevents.Handler.
func (s stopping) Handle(context.Context, caddy.Event) error {
	if caddy.Exiting() {
		s.core.hasten()
	}
	return nil
}

// running gives the runtime of this configuration, made on first use: by Start,
// or by the first request where the HTTP server started before us.
func (a *App) running() (*instance, error) {
	if rt := a.instance.Load(); rt != nil {
		return rt, nil
	}
	a.build.Lock()
	defer a.build.Unlock()
	if rt := a.instance.Load(); rt != nil {
		return rt, nil
	}
	if !a.core.ready.Load() {
		return nil, errNotReady
	}
	rt, err := newInstance(a)
	if err == nil {
		a.instance.Store(rt)
	}
	return rt, err
}

var errNotReady = errors.New("the gate is starting")

// appOf finds the app for a handler. Where the global option is missing, this
// makes one with the defaults.
func appOf(ctx caddy.Context) (*App, error) {
	app, err := ctx.App("gate")
	if err != nil {
		return nil, err
	}
	return app.(*App), nil
}

// policy finds a policy by name.
func (a *App) policy(name string) (*access.Policy, error) {
	p := a.policies[name]
	if err := checkPolicy(name, p != nil, a.values.register); err != nil {
		return nil, err
	}
	if name == "" {
		return access.Everyone, nil
	}
	return p, nil
}

// acceptsTokens tells whether some policy accepts access tokens.
func (a *App) acceptsTokens() bool {
	for _, p := range a.policies {
		if p.AcceptsTokens() {
			return true
		}
	}
	return false
}

// checkPolicy refuses a policy that is not known, and none at all where anybody
// can make an account.
func checkPolicy(name string, known bool, register authcore.Registration) error {
	switch {
	case name == "" && register == authcore.RegisterOpen:
		return errors.New("with \"register open\" anybody can make an account, so a gate without a policy keeps nobody out: " +
			"name a policy, e.g. one with \"allow group:staff\"")
	case name != "" && !known:
		if term, _, ok := strings.Cut(name, ":"); ok {
			return fmt.Errorf("%q is a term of a policy, not the name of one (%s): write policy NAME { allow %s } in the global option gate, then gate NAME", name, term, name)
		}
		return fmt.Errorf("there is no policy %q; define it in the global option gate: policy %s { … }", name, name)
	}
	return nil
}
