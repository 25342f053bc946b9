package caddymodule

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/connect"
	"github.com/gatehouse-auth/gatehouse/authcore/password"
	"github.com/gatehouse-auth/gatehouse/authcore/web"
	"github.com/gatehouse-auth/gatehouse/store"
)

// finding is one line of what the doctor says.
type finding struct {
	Check string `json:"check"`
	State string `json:"state"` // ok, warning or error
	Text  string `json:"text"`
}

func fine(check, format string, args ...any) finding {
	return finding{check, "ok", fmt.Sprintf(format, args...)}
}

func warn(check, format string, args ...any) finding {
	return finding{check, "warning", fmt.Sprintf(format, args...)}
}

func wrong(check, format string, args ...any) finding {
	return finding{check, "error", fmt.Sprintf(format, args...)}
}

// examine looks at what an open database and its services can tell.
func examine(ctx context.Context, c *console, _ struct{}) (any, error) {
	found := []finding{c.examineSchema(ctx)}
	if found[0].State == "ok" {
		found = append(found, c.examineConnection(ctx), c.examineIntegrity(ctx), c.examineOwner(ctx), c.examineClock(ctx), c.examineWaiting(ctx))
	} else {
		found = append(found, warn("database", "connection, integrity, owner, clock and mail not looked at: the database does not answer"))
	}
	return append(found, c.examineHashing(ctx)), nil
}

func (c *console) examineSchema(ctx context.Context) finding {
	version, err := c.db.Schema(ctx)
	if err != nil {
		return wrong("database", "its schema cannot be read: %v", err)
	}
	return fine("database", "opens, schema version %d", version)
}

// examineConnection looks whether somebody could read along.
func (c *console) examineConnection(ctx context.Context) finding {
	on, err := c.db.Encrypted(ctx)
	switch {
	case err != nil:
		return wrong("connection", "cannot be looked at: %v", err)
	case !on && !c.db.Config().Local():
		return warn("connection", "the connection to the database is not encrypted: add \"tls on\" to its block, unless the network is yours alone")
	case !on:
		return fine("connection", "stays on this machine")
	case c.db.Config().Driver == store.SQLite:
		return fine("connection", "none: the database is a file")
	}
	return fine("connection", "encrypted")
}

func (c *console) examineIntegrity(ctx context.Context) finding {
	if c.db.Config().Driver != store.SQLite {
		return fine("integrity", "left to the database server")
	}
	if err := c.db.CheckIntegrity(ctx); err != nil {
		return wrong("integrity", "the database is damaged: %v; restore a backup", err)
	}
	return fine("integrity", "the database is whole")
}

func (c *console) examineOwner(ctx context.Context) finding {
	ok, err := c.db.OwnerExists(ctx)
	if err != nil {
		return wrong("owner", "cannot be looked up: %v", err)
	}
	if ok && c.accounts.PasswordOff {
		if ok, err = c.db.OwnerWithoutPasswordExists(ctx); err != nil {
			return wrong("owner", "cannot be looked up: %v", err)
		} else if !ok {
			return warn("owner", "no platform owner can sign in: \"password off\", and none has a passkey or a linked provider; take that line away until one has, on the account page")
		}
	}
	if ok {
		return fine("owner", "there is an active platform owner")
	}
	if closed, err := c.db.SetupClosed(ctx); err == nil && closed {
		return wrong("owner", "there is no active platform owner; make one with: caddy gate user owner NAME")
	}
	return warn("owner", "there is none yet; open the setup link in Caddy's log, or run: caddy gate user add NAME --owner --password-stdin")
}

// examineClock compares the clock with the database's, and with the newest event:
// a clock that was set back ends no session in time.
func (c *console) examineClock(ctx context.Context) finding {
	latest, err := c.db.Latest(ctx)
	theirs, err2 := c.db.Clock(ctx)
	if err := errors.Join(err, err2); err != nil {
		return wrong("clock", "cannot be compared: %v", err)
	}
	if off := theirs.Sub(c.accounts.Now()); off.Abs() > 5*time.Second {
		return wrong("clock", "it is %s away from the database's; set both right, e.g. by NTP", off.Abs().Round(time.Second))
	}
	if ahead := latest.Sub(c.accounts.Now()); ahead > time.Minute {
		return wrong("clock", "it is at least %s behind the newest event in the database; set it right", ahead.Round(time.Second))
	}
	return fine("clock", "%s", c.accounts.Now().UTC().Format(time.RFC3339))
}

func (c *console) examineHashing(ctx context.Context) finding {
	start := time.Now()
	if err := c.accounts.Passwords.VerifyUnknown(ctx, "doctor"); err != nil {
		return warn("hashing", "%v", err)
	}
	took := time.Since(start).Round(time.Millisecond)
	if took > time.Second {
		return warn("hashing", "a password hash takes %s: choose smaller parameters with \"hashing\"", took)
	}
	return fine("hashing", "a password hash takes %s", took)
}

// provisioned gives what the whole configuration says, as Caddy makes it when it
// starts, but with a storage of its own, so that it leaves nothing behind, and
// without a log. Call forget after use.
func (t *target) provisioned() (rt *instance, forget func(), err error) {
	var config caddy.Config
	if err := json.Unmarshal(t.config, &config); err != nil {
		return nil, nil, err
	}
	config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{
		caddy.DefaultLoggerName: {BaseLog: caddy.BaseLog{Level: "PANIC"}},
	}}
	dir, err := os.MkdirTemp("", "gate-command-")
	if err != nil {
		return nil, nil, err
	}
	forget = func() { os.RemoveAll(dir) }
	remove := forget // which an error sets to nil
	defer func() {
		if err != nil {
			remove()
		}
	}()
	if config.StorageRaw, err = json.Marshal(map[string]string{"module": "file_system", "root": dir}); err != nil {
		return nil, nil, err
	}
	ctx, err := caddy.ProvisionContext(&config)
	if err != nil {
		return nil, nil, err
	}
	app, err := appOf(ctx)
	if err != nil {
		return nil, nil, err
	}
	rt = &instance{app: app}
	return rt, forget, rt.findSites()
}

// examineSites checks what only the whole configuration can tell, and the providers.
func (t *target) examineSites(ctx context.Context) []finding {
	in, forget, err := t.provisioned()
	if err != nil {
		return []finding{wrong("sites", "%v", err)}
	}
	defer forget()
	return append([]finding{in.examinePortal(), in.examineHosts()}, in.examineProviders(ctx)...)
}

func (in *instance) examinePortal() finding {
	if in.portal.host == "" {
		return fine("portal", "none: each gated host has its own pages")
	}
	return fine("portal", "%s serves the pages for all gated hosts", in.portal)
}

func (in *instance) examineHosts() finding {
	var hosts []string
	for _, s := range in.sites {
		hosts = append(hosts, cmp.Or(s.host, "any host"))
	}
	if len(hosts) == 0 {
		return warn("sites", "none has a gate: add `gate` to a site")
	}
	slices.Sort(hosts)
	return fine("sites", "%s", strings.Join(slices.Compact(hosts), ", "))
}

// examineSettings looks at what the configuration says.
func examineSettings(v values) []finding {
	found := []finding{fine("configuration", "can be read; database: %s", v.database)}
	if v.passwordOff {
		found = append(found, fine("password", "nobody signs in with one"))
	}
	if v.breached != "" {
		if _, err := password.OpenBreached(v.breached); err != nil {
			found = append(found, wrong("password_rules", "breached: %v", err))
		}
	}
	if v.register == authcore.RegisterOpen {
		found = append(found, warn("register", "anybody can make an account; gates need a policy that says who may pass"))
	}
	return found
}

// examineProviders asks each provider for what a sign-in needs, and says which addresses
// it must know of.
func (rt *instance) examineProviders(ctx context.Context) []finding {
	var found []finding
	for _, p := range rt.app.providers.All() {
		check := "provider " + p.Name
		found = append(found, examineProvider(ctx, check, p))
		for _, origin := range rt.pagesOrigins() {
			found = append(found, fine(check, "redirect address: %s", web.ConnectRedirect(origin, p.Name)))
			if p.SignOut && p.MayEndSessions() {
				found = append(found, fine(check, "address after a sign-out there: %s", web.AfterLogout(origin)))
			}
			if p.Kind == connect.OIDC {
				found = append(found, fine(check, "address for back-channel logout: %s", web.BackChannelLogout(origin, p.Name)))
			}
		}
	}
	return found
}

// examineTime bounds how long a provider is waited for.
const examineTime = 10 * time.Second

func examineProvider(ctx context.Context, check string, p *connect.Provider) finding {
	if p.Issuer == "" {
		return fine(check, "%s is asked when somebody signs in", p.Label)
	}
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	if err := p.Discover(ctx); err != nil {
		return wrong(check, "%s cannot be used: %v", p.Label, authcore.CauseOf(err))
	}
	return fine(check, "%s answers; client, secret and addresses are tried when somebody signs in", p.Label)
}
