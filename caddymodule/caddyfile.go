package caddymodule

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/web"
	"github.com/gatehouse-auth/gatehouse/store"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("gate", parseGlobal)
	httpcaddyfile.RegisterDirective("gate", parseGate)
	httpcaddyfile.RegisterDirective("gate_portal", parsePortal)
	httpcaddyfile.RegisterDirective("gate_verify", parseVerify)
	httpcaddyfile.RegisterDirectiveOrder("gate", httpcaddyfile.Before, "redir")
	httpcaddyfile.RegisterDirectiveOrder("gate_portal", httpcaddyfile.Before, "redir")
	httpcaddyfile.RegisterDirectiveOrder("gate_verify", httpcaddyfile.Before, "redir")
}

// words maps what may stand in a block to what reads it.
type words map[string]func(d *caddyfile.Dispenser, s *Settings) error

// options are the words of the global option.
var options = words{
	"database":        parseDatabase,
	"portal":          one(func(s *Settings) *string { return &s.Portal }),
	"trusted_proxies": list(1, -1, func(s *Settings) *[]string { return &s.TrustedProxies }),
	"secret_key":      one(func(s *Settings) *string { return &s.SecretKey }),
	"register":        one(func(s *Settings) *string { return &s.Register }),
	"session": block(words{
		"idle": one(func(s *Settings) *string { return &s.Session.Idle }),
		"max":  one(func(s *Settings) *string { return &s.Session.Max }),
	}),
	"hashing": block(words{
		"argon2id":  list(3, 3, func(s *Settings) *[]string { return &s.Hashing.Argon2id }),
		"permits":   one(func(s *Settings) *string { return &s.Hashing.Permits }),
		"when_full": list(1, 2, func(s *Settings) *[]string { return &s.Hashing.WhenFull }),
	}),
	"audit": block(words{
		"batch":      one(func(s *Settings) *string { return &s.Audit.Batch }),
		"every":      one(func(s *Settings) *string { return &s.Audit.Every }),
		"durability": one(func(s *Settings) *string { return &s.Audit.Durability }),
		"keep":       one(func(s *Settings) *string { return &s.Audit.Keep }),
		"anonymise":  one(func(s *Settings) *string { return &s.Audit.Anonymise }),
		"spill":      one(func(s *Settings) *string { return &s.Audit.Spill }),
	}),
	"activity": block(words{
		"write_every": one(func(s *Settings) *string { return &s.WriteEvery }),
	}),
	"limits": block(words{
		"address": list(1, 3, func(s *Settings) *[]string { return &s.Limits.Address }),
		"account": list(1, 3, func(s *Settings) *[]string { return &s.Limits.Account }),
	}),
	"password":       one(func(s *Settings) *string { return &s.Password }),
	"delete_account": one(func(s *Settings) *string { return &s.DeleteAccount }),
	"password_rules": block(words{
		"length":   list(1, 2, func(s *Settings) *[]string { return &s.PasswordRules.Length }),
		"breached": one(func(s *Settings) *string { return &s.PasswordRules.Breached }),
	}),
	"passkeys": list(1, -1, func(s *Settings) *[]string { return &s.Passkeys }),
	"second_factor": block(words{
		"owners":   one(func(s *Settings) *string { return &s.SecondFactor.Owners }),
		"remember": one(func(s *Settings) *string { return &s.SecondFactor.Remember }),
	}),
	"organizations": block(words{
		"register": one(func(s *Settings) *string { return &s.Organizations.Register }),
	}),
	"impersonation": block(words{
		"tell": one(func(s *Settings) *string { return &s.Impersonation.Tell }),
	}),
	"policy":   parsePolicy,
	"mail":     parseMail,
	"webhooks": block(webhookWords),
	"siem":     parseSIEM,
}

func init() {
	for kind := range providerKinds {
		options[kind] = parseProvider
	}
}

// parseGlobal reads the global option gate.
func parseGlobal(d *caddyfile.Dispenser, before any) (any, error) {
	s := new(Settings)
	d.Next() // gate
	if before != nil {
		return nil, d.Err("the global option gate stands here a second time")
	}
	if d.NextArg() {
		return nil, d.Errf("gate takes a block here, not %q; who may pass a site is said in the site", d.Val())
	}
	if err := options.read(d, s); err != nil {
		return nil, err
	}
	s.anchor(filepath.Dir(d.File()))
	if kind := s.Database.Driver; (kind == store.Postgres || kind == store.MySQL) && s.SecretKey == "" {
		return nil, s.keyMissing()
	}
	return httpcaddyfile.App{Name: "gate", Value: caddyconfig.JSON(s, nil)}, nil
}

// read reads a block of words. Every line is checked as soon as it is read, so
// that an error names it.
func (w words) read(d *caddyfile.Dispenser, s *Settings) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		word := d.Val()
		read, known := w[word]
		if !known {
			return d.Errf("unknown word %q; known here: %s", word, strings.Join(sortedKeys(w), ", "))
		}
		if seen[word] && !repeats(word) {
			return d.Errf("%s stands here a second time", word)
		}
		seen[word] = true
		if err := read(d, s); err != nil {
			return err
		}
		if _, err := s.resolve(nil); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

// repeats tells whether a word may stand more than once: each has another name.
func repeats(word string) bool { return word == "policy" || providerKinds[word].named }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// one reads a word with one argument.
func one(field func(*Settings) *string) func(*caddyfile.Dispenser, *Settings) error {
	return func(d *caddyfile.Dispenser, s *Settings) error {
		word, args := d.Val(), d.RemainingArgs()
		if len(args) != 1 || args[0] == "" {
			return d.Errf("%s takes one argument", word)
		}
		*field(s) = args[0]
		return noBlock(d, word)
	}
}

// list reads a word with between least and most arguments; -1 is any number.
func list(least, most int, field func(*Settings) *[]string) func(*caddyfile.Dispenser, *Settings) error {
	return func(d *caddyfile.Dispenser, s *Settings) error {
		word, args := d.Val(), d.RemainingArgs()
		if len(args) < least || most >= 0 && len(args) > most || slices.Contains(args, "") {
			return d.Errf("%s takes %s", word, count(least, most))
		}
		*field(s) = args
		return noBlock(d, word)
	}
}

func count(least, most int) string {
	switch {
	case most < 0:
		if least > 1 {
			return "at least " + strconv.Itoa(least) + " arguments"
		}
		return "at least 1 argument"
	case least == most:
		return strconv.Itoa(least) + " arguments"
	}
	return fmt.Sprintf("%d to %d arguments", least, most)
}

// noBlock refuses a block behind a word that takes none.
func noBlock(d *caddyfile.Dispenser, word string) error {
	before := d.Line()
	if d.NextBlock(d.Nesting()) || d.Line() != before { // which an empty one moves on
		return d.Errf("%s takes no block", word)
	}
	return nil
}

// block reads a word with a block of words.
func block(inner words) func(*caddyfile.Dispenser, *Settings) error {
	return func(d *caddyfile.Dispenser, s *Settings) error {
		word := d.Val()
		if d.NextArg() {
			return d.Errf("%s takes a block, not %q", word, d.Val())
		}
		before := d.Line()
		if err := inner.read(d, s); err != nil {
			return err
		}
		if d.Val() == word && d.Line() == before {
			return d.Errf("%s takes a block with: %s", word, strings.Join(sortedKeys(inner), ", "))
		}
		return nil
	}
}

// databaseWords may stand in the block of database.
var databaseWords = words{
	"connections": one(func(s *Settings) *string { return &s.Database.Connections }),
	"wait":        one(func(s *Settings) *string { return &s.Database.Wait }),
	"silence":     one(func(s *Settings) *string { return &s.Database.Silence }),
	"tls":         one(func(s *Settings) *string { return &s.Database.TLS }),
	"tls_ca":      one(func(s *Settings) *string { return &s.Database.TLSCA }),
	"tls_client":  list(2, 2, func(s *Settings) *[]string { return &s.Database.TLSClient }),
}

// parseDatabase reads: database sqlite [FILE] | postgres DSN | mysql DSN, with a
// block of databaseWords or none.
func parseDatabase(d *caddyfile.Dispenser, s *Settings) error {
	s.Database = DatabaseSettings{at: position(d)}
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 || slices.Contains(args, "") {
		return d.Err("database takes a kind and a place: database sqlite FILE, database postgres DSN or database mysql DSN")
	}
	s.Database.Driver = args[0]
	if len(args) == 2 {
		s.Database.At = args[1]
	}
	if _, err := s.resolve(nil); err != nil {
		return d.WrapErr(err)
	}
	return databaseWords.read(d, s)
}

// parsePolicy reads one policy and compiles it, for its errors.
func parsePolicy(d *caddyfile.Dispenser, s *Settings) error {
	args := d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return d.Err("policy takes a name and a block")
	}
	if strings.ContainsAny(args[0], " {}\"") {
		return d.Errf("%q cannot be the name of a policy", args[0])
	}
	p := PolicySettings{Name: args[0], at: position(d)}
	if slices.ContainsFunc(s.Policies, func(q PolicySettings) bool { return q.Name == p.Name }) {
		return d.Errf("policy %s is defined twice", p.Name)
	}
	var err error
	if p.Lines, err = policyLines(d); err != nil {
		return err
	}
	if _, err := p.compile(nil); err != nil {
		return err
	}
	s.Policies = append(s.Policies, p)
	return nil
}

// policyLines reads the block that follows, with the blocks in it.
func policyLines(d *caddyfile.Dispenser) ([]PolicyLine, error) {
	var lines []PolicyLine
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		line := PolicyLine{Word: d.Val(), At: position(d)}
		line.Args = d.RemainingArgs()
		before := d.Line()
		var err error
		if line.Lines, err = policyLines(d); err != nil {
			return nil, err
		}
		if len(line.Lines) == 0 && d.Line() != before {
			return nil, d.Errf("the block of %s is empty", line.Word)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func position(d *caddyfile.Dispenser) string { return d.File() + ":" + strconv.Itoa(d.Line()) }

// parseGate reads the directive gate: `gate [matcher] [policy] { headers … }`.
// It becomes one handler that keeps the matcher to itself, because what it does to
// requests that do not match matters as much.
func parseGate(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // gate
	g := &Gate{Source: position(h.Dispenser)}
	matcher, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, h.WrapErr(err)
	}
	h.Next() // gate: ExtractMatcherSet starts over
	if matcher != nil {
		g.MatcherSetsRaw = caddyhttp.RawMatcherSets{matcher}
	}
	if args := h.RemainingArgs(); len(args) == 1 {
		g.Policy = args[0]
	} else if len(args) > 1 {
		return nil, h.Errf("gate takes the name of one policy at most, not %d arguments", len(args))
	}
	for nesting := h.Nesting(); h.NextBlock(nesting); {
		switch h.Val() {
		case "headers":
			if err := g.Headers.parse(h.Dispenser); err != nil {
				return nil, err
			}
		case "pass_token":
			if err := g.parsePassToken(h); err != nil {
				return nil, err
			}
		default:
			if access.IsWord(h.Val()) {
				return nil, h.Errf("%q belongs in a policy: write \"policy NAME { … }\" in the global option gate, and \"gate NAME\" here", h.Val())
			}
			return nil, h.Errf("unknown word %q; known here: headers, pass_token", h.Val())
		}
	}
	if err := globalSettings(h).checkPolicy(g.Policy); err != nil {
		return nil, h.WrapErr(err)
	}
	return h.NewRoute(nil, g), nil
}

// parsePassToken reads `pass_token PROVIDER [HEADER]`.
func (g *Gate) parsePassToken(h httpcaddyfile.Helper) error {
	if g.PassToken.Provider != "" {
		return h.Err("pass_token stands here a second time")
	}
	args := h.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return h.Err("pass_token takes the name of a provider, and a header if it is not to be " + web.ProviderTokenHeader)
	}
	s := globalSettings(h)
	if !slices.ContainsFunc(s.Providers, func(p ProviderSettings) bool { return p.Name == args[0] }) {
		return h.WrapErr(noProvider(args[0]))
	}
	if len(args) == 2 {
		if _, err := web.NonePreset.WithProviderToken(args[1]); err != nil {
			return h.Errf("pass_token: %v", err)
		}
	}
	g.PassToken.Provider = args[0]
	if len(args) == 2 {
		g.PassToken.Header = args[1]
	}
	return noBlock(h.Dispenser, "pass_token")
}

// checkPolicy refuses a name that cannot be that of a gate's policy.
func (s *Settings) checkPolicy(name string) error {
	known := slices.ContainsFunc(s.Policies, func(p PolicySettings) bool { return p.Name == name })
	return checkPolicy(name, known, authcore.Registration(s.Register))
}

// parsePortal reads the directive gate_portal.
func parsePortal(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // gate_portal
	if h.NextArg() {
		return nil, h.Errf("gate_portal takes no argument and no matcher, not %q", h.Val())
	}
	if h.NextBlock(0) {
		return nil, h.Err("gate_portal takes no block")
	}
	if globalSettings(h).Portal == "" {
		return nil, h.WrapErr(errors.New("gate_portal needs \"portal HOST\" in the global option gate"))
	}
	return h.NewRoute(nil, new(Portal)), nil
}

// globalSettings gives what the global option gate said, or the defaults.
func globalSettings(h httpcaddyfile.Helper) *Settings {
	s := new(Settings)
	if app, ok := h.Option("gate").(httpcaddyfile.App); ok {
		_ = caddy.StrictUnmarshalJSON(app.Value, s) // made by parseGlobal
	}
	return s
}
