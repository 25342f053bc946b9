package caddymodule

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/audit"
	"github.com/gatehouse-auth/gatehouse/authcore/limit"
	"github.com/gatehouse-auth/gatehouse/authcore/passkey"
	"github.com/gatehouse-auth/gatehouse/authcore/password"
	"github.com/gatehouse-auth/gatehouse/store"
)

// resolver reads values and keeps the first error.
type resolver struct {
	expand func(string) (string, error)
	err    error
}

func (r *resolver) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// isPlaceholder tells whether a value is known only when the gate starts.
func isPlaceholder(s string) bool {
	for _, kind := range []string{"{env.", "{file."} {
		if _, rest, ok := strings.Cut(s, kind); ok && strings.Contains(rest, "}") {
			return true
		}
	}
	return false
}

// text expands the value of what; what cannot be known yet is empty.
func (r *resolver) text(what, s string) string {
	if !strings.Contains(s, "{") || r.expand == nil && !isPlaceholder(s) {
		return s
	}
	if r.expand == nil {
		return ""
	}
	out, err := r.expand(s)
	if err != nil {
		r.fail("%s: %w", what, err)
	} else if out = strings.TrimSpace(out); out == "" {
		r.fail("%s: %s stands for nothing but spaces", what, s)
	}
	return out
}

func (r *resolver) texts(what string, args []string) []string {
	out := make([]string, 0, len(args))
	for _, a := range args {
		if t := r.text(what, a); t != "" {
			out = append(out, t)
		}
	}
	return out
}

// keyMissing says that a database for several nodes needs a key that all of them
// have.
func (s *Settings) keyMissing() error {
	err := fmt.Errorf("with database %s, secret_key is needed, the same on every node: make one with `head -c 32 /dev/urandom | base64`, "+
		"and name it as in: secret_key {file./run/secrets/gate.key}", s.Database.Driver)
	if s.Database.at != "" {
		err = fmt.Errorf("%s: %w", s.Database.at, err)
	}
	return err
}

// database reads where the database is. What a placeholder hides is looked at
// when the gate starts.
func (r *resolver) database(s DatabaseSettings) store.Config {
	c := store.Config{Driver: r.text("database", s.Driver), Connections: r.connections(s.Connections),
		Wait: r.duration("database wait", s.Wait, store.DefaultWait.String()),
		TLS:  store.TLS{Mode: r.text("tls", s.TLS), CA: r.text("tls_ca", s.TLSCA)}}
	if client := r.texts("tls_client", s.TLSClient); len(client) == 2 {
		c.TLS.Cert, c.TLS.Key = client[0], client[1]
	}
	at := r.text("database", s.At)
	switch c.Driver {
	case store.SQLite, "":
		c.Driver = store.SQLite
		if c.Path = at; at == "" {
			c.Path = filepath.Join(caddy.AppDataDir(), "gate", "gate.db")
		}
	default:
		if c.DSN = authcore.Secret(at); at == "" && r.expand == nil && isPlaceholder(s.At) {
			return c
		}
	}
	if r.expand == nil && (isPlaceholder(s.Driver) || isPlaceholder(s.TLS) || isPlaceholder(s.TLSCA) || slices.ContainsFunc(s.TLSClient, isPlaceholder)) {
		return c
	}
	if r.expand == nil { // certificates need not be where a Caddyfile is read
		c.TLS.CA, c.TLS.Cert, c.TLS.Key = "", "", ""
	}
	if err := c.Validate(); err != nil {
		r.fail("%w", err)
	}
	return c
}

func (r *resolver) connections(s string) int {
	t := r.text("database connections", s)
	if t == "" {
		return 0
	}
	n, err := strconv.Atoi(t)
	if err != nil || n < 1 {
		r.fail("database connections is a number from 1 to 10000, not %q", t)
	}
	return n
}

func (r *resolver) portal(s string) (o origin, isURL bool) {
	p := r.text("portal", s)
	if p == "" {
		return origin{}, false
	}
	o, err := parseOrigin(p)
	if err != nil {
		r.fail("portal %q: %w", p, err)
	}
	return o, strings.Contains(p, "://")
}

// lifetime reads both times of a session. What is not said fits what is.
func (r *resolver) lifetime(s SessionSettings) authcore.Lifetime {
	t := authcore.Lifetime{Max: r.duration("session max", s.Max, "30d")}
	if t.Idle = 24 * time.Hour; s.Idle == "" {
		t.Idle = min(t.Idle, t.Max)
		return t
	}
	t.Idle = r.duration("session idle", s.Idle, "24h")
	if known := r.expand != nil || !isPlaceholder(s.Idle) && !isPlaceholder(s.Max); known && t.Idle > t.Max {
		r.fail("session idle (%s) is longer than session max (%s)", t.Idle, t.Max)
	}
	return t
}

// privateRanges is what Caddy, too, means by private_ranges.
var privateRanges = []string{"192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "127.0.0.0/8", "fd00::/8", "::1"}

func (r *resolver) networks(args []string) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range r.texts("trusted_proxies", args) {
		texts := []string{a}
		if a == "private_ranges" {
			texts = privateRanges
		}
		for _, text := range texts {
			p, err := access.ParsePrefix(text)
			if err != nil {
				r.fail("trusted_proxies: %w", err)
			}
			out = append(out, p)
		}
	}
	return out
}

func (r *resolver) registration(s string) authcore.Registration {
	switch v := authcore.Registration(r.text("register", s)); v {
	case "":
		return authcore.RegisterOff
	case authcore.RegisterOff, authcore.RegisterInvite, authcore.RegisterOpen:
		return v
	}
	r.fail("register is open, invite or off, not %q", s)
	return authcore.RegisterOff
}

// isOff reads what is on unless it is off.
func (r *resolver) isOff(what, s string) bool {
	switch t := r.text(what, s); t {
	case "", "on":
	case "off":
		return true
	default:
		r.fail("%s is on or off, not %q", what, t)
	}
	return false
}

// isOn reads what is off unless it is on.
func (r *resolver) isOn(what, s string) bool {
	switch t := r.text(what, s); t {
	case "", "off":
	case "on":
		return true
	default:
		r.fail("%s is on or off, not %q", what, t)
	}
	return false
}

// passwordRules reads how long passwords have to be.
func (r *resolver) passwordRules(s PasswordRuleSettings) password.Rules {
	rules := password.DefaultRules
	if len(s.Length) > 2 {
		r.fail("password_rules length takes one number or two, such as 15 8")
	}
	for i, word := range s.Length {
		t := r.text("password_rules length", word)
		n, err := strconv.Atoi(t)
		switch {
		case t == "": // a placeholder
		case err != nil || n < 8 || n > 64:
			r.fail("password_rules length is a number of characters from 8 to 64, alone and beside a second factor, such as 15 8; not %q", t)
		case i == 0:
			rules.MinLength, rules.MinWithFactor = n, min(n, rules.MinWithFactor)
		case n > rules.MinLength:
			r.fail("password_rules length: a password beside a second factor need not be longer than one alone: %d, %d", rules.MinLength, n)
		default:
			rules.MinWithFactor = n
		}
	}
	return rules
}

// passkeys reads where passkeys are good.
func (r *resolver) passkeys(words []string) (v passkey.Settings) {
	if len(words) > 1 && slices.Contains(words, "off") {
		r.fail("passkeys off takes nothing more")
		return v
	}
	for i, word := range words {
		t := r.text("passkeys", word)
		u, err := url.Parse(t)
		switch {
		case t == "": // a placeholder
		case t == "off" && len(words) == 1:
			v.Off = true
		case i == 0:
			if v.Domain = strings.ToLower(t); strings.ContainsAny(t, ":/*@ ") || net.ParseIP(t) != nil {
				r.fail("passkeys takes a domain first, such as example.com, or off; not %q", t)
			}
		case err != nil || u.Scheme != "https" || u.Host == "" || u.Scheme+"://"+u.Host != t:
			r.fail("passkeys: %q is no origin, such as https://example.net", t)
		default:
			v.Origins = append(v.Origins, t)
		}
	}
	return v
}

// duration reads a time longer than nothing.
func (r *resolver) duration(what, s, standard string) time.Duration {
	d := r.interval(what, s, standard)
	if d <= 0 {
		r.fail("%s must be longer than nothing", what)
	}
	return d
}

// interval reads a time that may be zero.
func (r *resolver) interval(what, s, standard string) time.Duration {
	t := r.text(what, s)
	if t == "" {
		t = standard
	}
	d, err := caddy.ParseDuration(t)
	if err != nil || d < 0 {
		r.fail("%s: %q is not a duration such as 30s, 5m, 24h or 30d", what, t)
	}
	return d
}

// maxAuditBatch and maxAuditWait bound what one transaction writes, and what a crash
// may lose.
const (
	maxAuditBatch = 1000
	maxAuditWait  = time.Minute
)

func (r *resolver) audit(s AuditSettings) audit.Settings {
	a := audit.DefaultSettings
	if t := r.text("audit batch", s.Batch); t != "" {
		n, err := strconv.Atoi(t)
		if err != nil || n < 1 || n > maxAuditBatch {
			r.fail("audit batch is a number from 1 to %d, not %q", maxAuditBatch, t)
		}
		a.Batch = n
	}
	if a.Every = r.duration("audit every", s.Every, a.Every.String()); a.Every > maxAuditWait {
		r.fail("audit every can be %s at most: for as long, a crash loses what happened", maxAuditWait)
	}
	switch t := r.text("audit durability", s.Durability); t {
	case "", "batched":
	case "sync":
		a.Sync = true
	default:
		r.fail("audit durability is batched or sync, not %q", t)
	}
	return a
}

// age reads a time after which something happens to events, or the word for that
// it does not, which gives 0.
func (r *resolver) age(what, s, standard, not string) time.Duration {
	t := r.text(what, s)
	if t == "" {
		t = standard
	}
	if t == not {
		return 0
	}
	d, err := caddy.ParseDuration(t)
	if err != nil || d < time.Hour {
		r.fail("%s is a duration of at least 1h such as 30d, or %s, not %q", what, not, t)
	}
	return d
}

func (r *resolver) argon2id(args []string) password.Params {
	t := r.texts("argon2id", args)
	if len(t) == 0 || len(t) < len(args) {
		return password.DefaultParams
	}
	if len(t) != 3 {
		r.fail("argon2id takes memory, passes and lanes, e.g. 19MiB 2 1")
		return password.DefaultParams
	}
	memory, err := parseMemory(t[0])
	passes, err2 := strconv.ParseUint(t[1], 10, 32)
	lanes, err3 := strconv.ParseUint(t[2], 10, 8)
	if err := errors.Join(err, err2, err3); err != nil {
		r.fail("argon2id takes memory, passes and lanes, e.g. 19MiB 2 1: %w", err)
		return password.DefaultParams
	}
	p := password.Params{Memory: memory, Passes: uint32(passes), Lanes: uint8(lanes)}
	if err := p.Validate(); err != nil {
		r.fail("argon2id: %w", err)
	}
	return p
}

// parseMemory reads a size such as 19MiB, in KiB.
func parseMemory(s string) (uint32, error) {
	for unit, kib := range map[string]uint64{"KiB": 1, "MiB": 1 << 10, "GiB": 1 << 20} {
		if number, ok := strings.CutSuffix(s, unit); ok {
			n, err := strconv.ParseUint(number, 10, 22)
			if err != nil || n*kib > 1<<31 {
				return 0, fmt.Errorf("%q is not a size such as 19MiB", s)
			}
			return uint32(n * kib), nil
		}
	}
	return 0, fmt.Errorf("%q is not a size such as 19MiB", s)
}

func (r *resolver) permits(s string) int {
	switch t := r.text("permits", s); t {
	case "":
		return procs.count()
	case "off":
		return 0
	default:
		n, err := strconv.Atoi(t)
		if err != nil || n < 1 || n > 1024 {
			r.fail("permits is a number from 1 to 1024, or off, not %q", t)
		}
		return n
	}
}

func (r *resolver) whenFull(args []string) time.Duration {
	t := r.texts("when_full", args)
	switch {
	case len(t) == 0 || len(t) < len(args), len(t) == 1 && t[0] == "reject":
		return 0
	case len(t) == 2 && t[0] == "wait":
		d := r.duration("when_full wait", t[1], "")
		if d > time.Minute {
			r.fail("when_full wait can be 1m at most: longer queues only hide an overload")
		}
		return d
	}
	r.fail("when_full is reject, or wait and a duration")
	return 0
}

// pace reads a count, a first wait and a longest wait, which may be left out.
func (r *resolver) pace(what string, args []string, standard limit.Pace) limit.Pace {
	t := r.texts(what, args)
	switch {
	case len(t) == 0 || len(t) < len(args):
		return standard
	case len(t) == 1 && t[0] == "off":
		return limit.Pace{}
	case len(t) == 2 || len(t) == 3:
		n, err := strconv.Atoi(t[0])
		if err != nil || n < 1 || n > 1_000_000 {
			r.fail("%s: %q is not a count from 1 to 1000000", what, t[0])
		}
		p := limit.Pace{Burst: n, First: r.duration(what, t[1], ""), Longest: standard.Longest}
		if len(t) == 3 {
			if p.Longest = r.duration(what, t[2], ""); p.Longest < p.First {
				r.fail("%s: the longest wait, %s, is shorter than the first, %s", what, t[2], t[1])
			}
		}
		return p
	}
	r.fail("%s takes a count, a first wait and a longest wait, e.g. %d %s %s, or off", what, standard.Burst, standard.First, standard.Longest)
	return standard
}
