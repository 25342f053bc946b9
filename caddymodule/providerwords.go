package caddymodule

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/gatehouse-auth/gatehouse/authcore/connect"
)

// providerWord reads one word of a provider's block.
type providerWord struct {
	only []string // the kinds that have it; nil is all
	read func(d *caddyfile.Dispenser, p *ProviderSettings) error
}

// providerWords are the words of a provider's block.
var providerWords = map[string]providerWord{
	"label":     {read: providerText(func(p *ProviderSettings) *string { return &p.Label })},
	"tenant":    {[]string{connect.Microsoft}, providerText(func(p *ProviderSettings) *string { return &p.Tenant })},
	"issuer":    {[]string{connect.GitLab}, providerText(func(p *ProviderSettings) *string { return &p.Issuer })},
	"team":      {[]string{connect.Apple}, providerText(func(p *ProviderSettings) *string { return &p.Team })},
	"key_id":    {[]string{connect.Apple}, providerText(func(p *ProviderSettings) *string { return &p.KeyID })},
	"key":       {[]string{connect.Apple}, providerText(func(p *ProviderSettings) *string { return &p.Key })},
	"authorize": {[]string{connect.OAuth2}, providerText(func(p *ProviderSettings) *string { return &p.Authorize })},
	"token":     {[]string{connect.OAuth2}, providerText(func(p *ProviderSettings) *string { return &p.Token })},
	"userinfo":  {[]string{connect.OAuth2}, providerText(func(p *ProviderSettings) *string { return &p.UserInfo })},
	"auth":      {[]string{connect.OAuth2}, providerText(func(p *ProviderSettings) *string { return &p.Auth })},
	"fields":    {[]string{connect.OAuth2}, parseFields},
	"form_post": {[]string{connect.OIDC}, providerFlag(func(p *ProviderSettings) *bool { return &p.FormPost })},
	"new_users": {read: providerText(func(p *ProviderSettings) *string { return &p.NewUsers })},
	"recheck":   {read: providerText(func(p *ProviderSettings) *string { return &p.Recheck })},
	"sign_out":  {read: providerText(func(p *ProviderSettings) *string { return &p.SignOut })},
	"trust_mfa": {read: providerFlag(func(p *ProviderSettings) *bool { return &p.TrustMFA })},
	"broker":    {read: providerFlag(func(p *ProviderSettings) *bool { return &p.Broker })},
	"scopes":    {read: providerList(1, -1, func(p *ProviderSettings, args []string) { p.Scopes = append(p.Scopes, args...) })},
	"allow":     {read: providerList(1, -1, func(p *ProviderSettings, args []string) { p.Allow = append(p.Allow, args...) })},
	"group": {read: providerList(2, -1, func(p *ProviderSettings, args []string) {
		p.Groups = append(p.Groups, ProviderGroup{args[0], args[1:]})
	})},
	"groups_from": {read: providerList(1, 2, addClaimGroups)},
}

// addClaimGroups takes groups_from CLAIM [PREFIX].
func addClaimGroups(p *ProviderSettings, args []string) {
	from := ClaimGroups{Claim: args[0]}
	if len(args) > 1 {
		from.Prefix = &args[1]
	}
	p.GroupsFrom = append(p.GroupsFrom, from)
}

func providerText(field func(*ProviderSettings) *string) func(*caddyfile.Dispenser, *ProviderSettings) error {
	return func(d *caddyfile.Dispenser, p *ProviderSettings) error {
		word, args := d.Val(), d.RemainingArgs()
		if len(args) != 1 || args[0] == "" {
			return d.Errf("%s takes one argument", word)
		}
		if *field(p) != "" {
			return d.Errf("%s stands here a second time", word)
		}
		*field(p) = args[0]
		return noBlock(d, word)
	}
}

func providerFlag(field func(*ProviderSettings) *bool) func(*caddyfile.Dispenser, *ProviderSettings) error {
	return func(d *caddyfile.Dispenser, p *ProviderSettings) error {
		word := d.Val()
		if d.NextArg() {
			return d.Errf("%s takes no argument, not %q", word, d.Val())
		}
		*field(p) = true
		return noBlock(d, word)
	}
}

func providerList(least, most int, add func(*ProviderSettings, []string)) func(*caddyfile.Dispenser, *ProviderSettings) error {
	return func(d *caddyfile.Dispenser, p *ProviderSettings) error {
		word, args := d.Val(), d.RemainingArgs()
		if len(args) < least || most >= 0 && len(args) > most || slices.Contains(args, "") {
			return d.Errf("%s takes %s", word, count(least, most))
		}
		add(p, args)
		return noBlock(d, word)
	}
}

// fieldNames are what a UserInfo endpoint can tell.
var fieldNames = []string{"subject", "username", "name", "email", "email_verified"}

// parseFields reads the block that says what a UserInfo endpoint's fields are.
func parseFields(d *caddyfile.Dispenser, p *ProviderSettings) error {
	if d.NextArg() {
		return d.Errf("fields takes a block, as in fields { subject id }, not %q", d.Val())
	}
	if p.Fields != nil {
		return d.Err("fields stands here a second time")
	}
	p.Fields = make(map[string]string)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		word, args := d.Val(), d.RemainingArgs()
		switch {
		case !slices.Contains(fieldNames, word):
			return d.Errf("unknown word %q; known here: %s", word, strings.Join(fieldNames, ", "))
		case len(args) != 1 || args[0] == "":
			return d.Errf("%s takes the name of a field, as in: %s id", word, word)
		case p.Fields[word] != "":
			return d.Errf("%s stands here a second time", word)
		}
		p.Fields[word] = args[0]
		if err := noBlock(d, word); err != nil {
			return err
		}
	}
	return nil
}

// parseProvider reads one provider: the kind, a name where there may be several, what
// the kind needs, and a block.
func parseProvider(d *caddyfile.Dispenser, s *Settings) error {
	p := ProviderSettings{Kind: d.Val(), Name: d.Val(), at: position(d)}
	kind, args := providerKinds[p.Kind], d.RemainingArgs()
	usage := append([]string{p.Kind}, kind.args...)
	if kind.named {
		usage = slices.Insert(usage, 1, "NAME")
	}
	optional := p.Kind == connect.OIDC && len(args) == len(usage)-2 // a public client has no secret
	if len(args) != len(usage)-1 && !optional || slices.Contains(args, "") {
		if p.Kind == connect.OIDC {
			usage[len(usage)-1] = "[SECRET]"
		}
		return d.Errf("write: %s", strings.Join(usage, " "))
	}
	if kind.named {
		p.Name, args = args[0], args[1:]
	}
	for i, arg := range args {
		switch kind.args[i] {
		case "ISSUER":
			p.Issuer = arg
		case "CLIENT_ID":
			p.ClientID = arg
		case "SECRET":
			p.ClientSecret = arg
		}
	}
	if slices.ContainsFunc(s.Providers, func(q ProviderSettings) bool { return q.Name == p.Name }) {
		return d.Errf("provider %s is there already", p.Name)
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		word, known := providerWords[d.Val()]
		if !known || word.only != nil && !slices.Contains(word.only, p.Kind) {
			return d.Errf("unknown word %q; known here: %s", d.Val(), strings.Join(wordsOf(p.Kind), ", "))
		}
		if err := word.read(d, &p); err != nil {
			return err
		}
		var r resolver
		if r.provider(&p); r.err != nil { // now, so that the error names the line
			return d.WrapErr(r.err)
		}
	}
	var r resolver
	if r.wholeProvider(&p); r.err != nil {
		return d.WrapErr(r.err)
	}
	s.Providers = append(s.Providers, p)
	return nil
}

func wordsOf(kind string) []string {
	var all []string
	for _, name := range sortedKeys(providerWords) {
		if w := providerWords[name]; w.only == nil || slices.Contains(w.only, kind) {
			all = append(all, name)
		}
	}
	return all
}
