package caddymodule

import (
	"net/netip"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/audit"
	"github.com/gatehouse-auth/gatehouse/authcore/connect"
	"github.com/gatehouse-auth/gatehouse/authcore/limit"
	"github.com/gatehouse-auth/gatehouse/authcore/passkey"
	"github.com/gatehouse-auth/gatehouse/authcore/password"
	"github.com/gatehouse-auth/gatehouse/authcore/webhook"
	"github.com/gatehouse-auth/gatehouse/store"
)

// Settings is the configuration of the gate as it is written, in JSON or in the
// global option `gate`. Every value may be a placeholder such as {env.X} or
// {file.X}; none of them is expanded before the gate starts, so that no secret
// shows in the configuration that Caddy's admin endpoint gives out.
type Settings struct {
	// Where everything is kept. Default: SQLite in Caddy's data directory.
	Database DatabaseSettings `json:"database,omitzero"`
	// The host with the pages for all gated hosts, e.g. auth.example.com.
	// Default: each gated host has its own.
	Portal string `json:"portal,omitempty"`
	// Networks of proxies in front of Caddy whose X-Forwarded-For and
	// X-Forwarded-Proto are believed.
	TrustedProxies []string `json:"trusted_proxies,omitempty"`
	// 32 random bytes in base64. Default: made once, in a file beside the database.
	SecretKey string `json:"secret_key,omitempty"`
	// Who may make an account: open, invite or off (default).
	Register string `json:"register,omitempty"`
	// Whether people sign in with passwords: on (default) or off.
	Password string `json:"password,omitempty"`
	// When the account of a user who asks for it is deleted: now (default), or after
	// some time, within which it can be brought back; or off, for nobody deletes theirs.
	DeleteAccount string `json:"delete_account,omitempty"`
	// Which passwords may be chosen.
	PasswordRules PasswordRuleSettings `json:"password_rules,omitzero"`
	// Where passkeys are good: off, or a domain of which the pages are, and the origins of
	// pages elsewhere. Default: on the host of each page.
	Passkeys []string `json:"passkeys,omitempty"`
	// Who needs a second factor, and where it is not asked for again.
	SecondFactor SecondFactorSettings `json:"second_factor,omitzero"`
	// Who can register organizations.
	Organizations OrganizationSettings `json:"organizations,omitzero"`
	// How platform owners act as users.
	Impersonation ImpersonationSettings `json:"impersonation,omitzero"`
	// The outside providers to sign in with, in the order in which pages offer them.
	Providers []ProviderSettings `json:"providers,omitempty"`
	// How long a session lives.
	Session SessionSettings `json:"session,omitzero"`
	// How passwords are hashed.
	Hashing HashingSettings `json:"hashing,omitzero"`
	// How the audit log is written and kept.
	Audit AuditSettings `json:"audit,omitzero"`
	// How often "last seen" is written for each session. Default: 5m; 0s writes on every request.
	WriteEvery string `json:"write_every,omitempty"`
	// How many failed sign-ins are allowed at once, and how long until one more is.
	Limits LimitSettings `json:"limits,omitzero"`
	// How mail is sent. Default: none is.
	Mail *MailSettings `json:"mail,omitempty"`
	// Where webhooks may be, beside the internet.
	Webhooks WebhookSettings `json:"webhooks,omitzero"`
	// Who is told of all events. Default: nobody.
	SIEM SIEMSettings `json:"siem,omitzero"`
	// Who may pass, by name.
	Policies []PolicySettings `json:"policies,omitempty"`
}

// anchor makes relative paths count from a folder, that of the Caddyfile: the server and the commands may run in different ones.
func (s *Settings) anchor(dir string) {
	if s.Database.Driver == store.SQLite {
		anchorPath(&s.Database.At, dir)
	}
	anchorPath(&s.Audit.Spill, dir)
	anchorPath(&s.PasswordRules.Breached, dir)
	s.SIEM.anchor(dir)
	if s.Mail != nil {
		anchorPath(&s.Mail.Templates, dir)
		anchorPath(&s.Mail.TLSCA, dir)
	}
}

func anchorPath(at *string, dir string) {
	if *at != "" && !isPlaceholder(*at) && !filepath.IsAbs(*at) {
		if path, err := filepath.Abs(filepath.Join(dir, *at)); err == nil {
			*at = path
		}
	}
}

// DatabaseSettings name a database and say how it is used.
type DatabaseSettings struct {
	// sqlite (default), postgres or mysql.
	Driver string `json:"driver,omitempty"`
	// sqlite: the file; the others: the DSN.
	At string `json:"at,omitempty"`
	// How many connections there may be. Default: 20.
	Connections string `json:"connections,omitempty"`
	// How long one command may take, with all that it waits for. Default: 3s.
	Wait string `json:"wait,omitempty"`
	// How long people who are signed in may go on while the database is not heard of. Default: 10s.
	Silence string `json:"silence,omitempty"`
	// on or off. Default: as the DSN says.
	TLS string `json:"tls,omitempty"`
	// File of the certificates to verify the server with. Default: the system's.
	TLSCA string `json:"tls_ca,omitempty"`
	// Files of the client's certificate and its key.
	TLSClient []string `json:"tls_client,omitempty"`

	at string // where it stands in the Caddyfile
}

// PasswordRuleSettings say which passwords may be chosen.
type PasswordRuleSettings struct {
	// How many characters they have at least: alone, and beside a second factor. Default: 15 8.
	Length []string `json:"length,omitempty"`
	// Folder of passwords that are known from breaches, by prefix. Default: none.
	Breached string `json:"breached,omitempty"`
}

// OrganizationSettings are about organizations.
type OrganizationSettings struct {
	// Whether every user can register an organization, which then waits for a platform
	// owner: on, or off (default).
	Register string `json:"register,omitempty"`
}

// ImpersonationSettings are about platform owners who act as users.
type ImpersonationSettings struct {
	// Whether a user is told by mail, where mail is sent: on (default) or off.
	Tell string `json:"tell,omitempty"`
}

// SecondFactorSettings are about second factors.
type SecondFactorSettings struct {
	// Whether the pages for platform owners ask for one: on (default) or off.
	Owners string `json:"owners,omitempty"`
	// How long a browser that its user trusts is not asked again, or off. Default: 30d.
	Remember string `json:"remember,omitempty"`
}

// SessionSettings are durations, e.g. "24h" or "30d".
type SessionSettings struct {
	Idle string `json:"idle,omitempty"` // default 24h
	Max  string `json:"max,omitempty"`  // default 30d
}

// HashingSettings bound what a password hash costs.
type HashingSettings struct {
	// Argon2id: memory (e.g. 19MiB), passes, lanes. Default: 19MiB 2 1.
	Argon2id []string `json:"argon2id,omitempty"`
	// How many hashes run at once, or off for no limit. Default: one for each core.
	Permits string `json:"permits,omitempty"`
	// What happens to one more: reject (default), or wait and a duration.
	WhenFull []string `json:"when_full,omitempty"`
}

// AuditSettings say how events are written, and for how long they are kept.
type AuditSettings struct {
	// How many events one transaction writes at most. Default: 100.
	Batch string `json:"batch,omitempty"`
	// How long an event may wait for others. Default: 1s.
	Every string `json:"every,omitempty"`
	// batched (default), or sync: a request waits until its event is in the database.
	Durability string `json:"durability,omitempty"`
	// For how long events are kept, or forever. Default: 365d.
	Keep string `json:"keep,omitempty"`
	// After how long what is personal is taken from events, or never (default).
	Anonymise string `json:"anonymise,omitempty"`
	// The folder for events that the database does not take for now. Default: beside the
	// SQLite file, or Caddy's data directory.
	Spill string `json:"spill,omitempty"`
}

// LimitSettings are each a count and a duration, or "off".
type LimitSettings struct {
	Address []string `json:"address,omitempty"` // default 20 10s
	Account []string `json:"account,omitempty"` // default 60 3s
}

// values are Settings expanded, checked and completed.
type values struct {
	database          store.Config
	silence           time.Duration
	portal            origin // the zero origin where each host is its own
	portalIsURL       bool
	trusted           []netip.Prefix
	secretKey         authcore.Secret
	register          authcore.Registration
	organizationsOpen bool // every user can register one
	actUntold         bool // users are not told that an owner acts as them
	passwordOff       bool
	keepUsers         bool          // users cannot delete their accounts
	deleteAfter       time.Duration // from when one asks for it
	rules             password.Rules
	breached          string // folder; opened when the gate starts
	passkeys          passkey.Settings
	ownersFree        bool          // the pages for owners ask for no second factor
	trustFor          time.Duration // 0: no browser is trusted
	providers         []connect.Settings
	lifetime          authcore.Lifetime
	params            password.Params
	permits           int
	wait              time.Duration
	writeEvery        time.Duration
	audit             audit.Settings
	keep              time.Duration // of events; 0: forever
	anonymise         time.Duration // of events; 0: never
	spill             string
	address           limit.Pace
	account           limit.Pace
	webhooks          webhook.Rules
	siem              siemValues
	mail              *mailValues // nil where none is sent
}

// resolve checks all settings. Without an expander, as when a Caddyfile is read,
// values that hold a placeholder are taken as good.
func (s *Settings) resolve(expand func(string) (string, error)) (values, error) {
	r := resolver{expand: expand}
	v := values{
		database:          r.database(s.Database),
		silence:           r.duration("database silence", s.Database.Silence, authcore.DefaultSilence.String()),
		trusted:           r.networks(s.TrustedProxies),
		secretKey:         authcore.Secret(r.text("secret_key", s.SecretKey)),
		register:          r.registration(s.Register),
		organizationsOpen: r.isOn("organizations register", s.Organizations.Register),
		actUntold:         r.isOff("impersonation tell", s.Impersonation.Tell),
		passwordOff:       r.isOff("password", s.Password),
		rules:             r.passwordRules(s.PasswordRules),
		breached:          r.text("password_rules breached", s.PasswordRules.Breached),
		passkeys:          r.passkeys(s.Passkeys),
		ownersFree:        r.isOff("second_factor owners", s.SecondFactor.Owners),
		trustFor:          r.age("second_factor remember", s.SecondFactor.Remember, "30d", "off"),
		providers:         r.providers(s.Providers),
		lifetime:          r.lifetime(s.Session),
		params:            r.argon2id(s.Hashing.Argon2id),
		permits:           r.permits(s.Hashing.Permits),
		wait:              r.whenFull(s.Hashing.WhenFull),
		writeEvery:        r.interval("activity write_every", s.WriteEvery, "5m"),
		audit:             r.audit(s.Audit),
		keep:              r.age("audit keep", s.Audit.Keep, "365d", "forever"),
		anonymise:         r.age("audit anonymise", s.Audit.Anonymise, "never", "never"),
		spill:             r.text("audit spill", s.Audit.Spill),
		address:           r.pace("limits address", s.Limits.Address, limit.Pace{Burst: 20, First: 10 * time.Second, Longest: 15 * time.Minute}),
		account:           r.pace("limits account", s.Limits.Account, limit.Pace{Burst: 60, First: 3 * time.Second, Longest: 5 * time.Minute}),
		webhooks:          r.webhooks(s.Webhooks),
		siem:              r.siem(s.SIEM),
		mail:              r.mail(s.Mail),
	}
	if t := r.text("delete_account", s.DeleteAccount); t == "off" {
		v.keepUsers = true
	} else {
		v.deleteAfter = r.age("delete_account", s.DeleteAccount, "now", "now")
	}
	if v.silence > authcore.SilenceLimit {
		r.fail("database silence can be %s at most: for as long, nobody can be signed out", authcore.SilenceLimit)
	}
	v.portal, v.portalIsURL = r.portal(s.Portal)
	if d := v.passkeys.Domain; r.expand != nil && d != "" && v.portal.host != "" {
		if party, ok := v.passkeys.Party(v.portal.String(), ""); ok && party.Domain != d {
			r.fail("passkeys %s: the portal %s is neither that domain nor below it, nor named after it", d, v.portal.host)
		}
	}
	if r.expand != nil && v.passwordOff && v.passkeys.Off && len(v.providers) == 0 && (v.mail == nil || v.mail.noSignIn) {
		r.fail("with \"password off\" and \"passkeys off\" nobody could sign in: add a sign-in provider, such as: oidc corp https://id.example.com CLIENT_ID SECRET")
	}
	if r.expand != nil && v.database.Driver != store.SQLite && v.secretKey == "" {
		r.fail("%w", s.keyMissing())
	}
	if v.spill == "" {
		v.spill = filepath.Join(caddy.AppDataDir(), "gate")
		if v.database.Driver == store.SQLite {
			v.spill = filepath.Dir(v.database.Path)
		}
	}
	v.writeEvery = min(v.writeEvery, v.lifetime.Idle/4) // a restart must not end a session that is in use
	if r.err == nil && v.secretKey != "" {
		_, r.err = authcore.ParseSecretKey(v.secretKey)
	}
	return v, r.err
}
