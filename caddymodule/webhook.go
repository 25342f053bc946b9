package caddymodule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/webhook"
)

// WebhookSettings say where webhooks may be.
type WebhookSettings struct {
	// Networks that webhooks may be in beside the internet, e.g. 10.0.0.0/8.
	Allow []string `json:"allow,omitempty"`
}

// SIEMSettings say which collectors are told of all events.
type SIEMSettings struct {
	// A URL, and the secret that requests are signed with.
	Webhook []string `json:"webhook,omitempty"`
	// A file for JSON lines.
	File string `json:"file,omitempty"`
	// udp, tcp or tls, and host:port.
	Syslog []string `json:"syslog,omitempty"`
}

// webhookWords may stand in the block of webhooks, and siemWords in that of siem.
var (
	webhookWords = words{
		"allow": list(1, -1, func(s *Settings) *[]string { return &s.Webhooks.Allow }),
	}
	siemWords = words{
		"webhook": list(2, 2, func(s *Settings) *[]string { return &s.SIEM.Webhook }),
		"file":    one(func(s *Settings) *string { return &s.SIEM.File }),
		"syslog":  list(2, 2, func(s *Settings) *[]string { return &s.SIEM.Syslog }),
	}
)

// parseSIEM reads siem, with a block or with one collector on its line.
func parseSIEM(d *caddyfile.Dispenser, s *Settings) error {
	if !d.NextArg() {
		return block(siemWords)(d, s)
	}
	read, known := siemWords[d.Val()]
	if !known {
		return d.Errf("siem takes webhook URL SECRET, file PATH or syslog udp|tcp|tls HOST:PORT, or a block of them, not %q", d.Val())
	}
	if err := read(d, s); err != nil {
		return err
	}
	if _, err := s.resolve(nil); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// siemValues are SIEMSettings expanded and checked.
type siemValues struct {
	url, secret, file string
	network, address  string // of syslog
}

func (r *resolver) webhooks(s WebhookSettings) (rules webhook.Rules) {
	for _, a := range r.texts("webhooks allow", s.Allow) {
		p, err := access.ParsePrefix(a)
		if err != nil {
			r.fail("webhooks allow: %w", err)
		}
		rules.Allow = append(rules.Allow, p)
	}
	return rules
}

func (r *resolver) siem(s SIEMSettings) (v siemValues) {
	v.file = r.text("siem file", s.File)
	if len(s.Webhook) > 0 && len(s.Webhook) != 2 {
		r.fail("siem webhook takes a URL and a secret")
	} else if len(s.Webhook) == 2 {
		v.url, v.secret = r.text("siem webhook", s.Webhook[0]), r.text("siem webhook", s.Webhook[1])
		if v.url != "" {
			u, err := url.Parse(v.url)
			if err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
				r.fail("siem webhook: the URL begins with https://, or with http:// for this machine, and has no password in it")
			}
		}
		if _, err := authcore.ParseWebhookSecret(authcore.Secret(v.secret)); v.secret != "" && err != nil {
			r.fail("siem webhook: %w; make one with: echo whsec_$(head -c 32 /dev/urandom | base64)", err)
		}
	}
	if len(s.Syslog) > 0 && len(s.Syslog) != 2 {
		r.fail("siem syslog takes udp, tcp or tls, and a host and a port")
	} else if len(s.Syslog) == 2 {
		v.network, v.address = r.text("siem syslog", s.Syslog[0]), r.text("siem syslog", s.Syslog[1])
		if v.network != "" && !slices.Contains([]string{"udp", "tcp", "tls"}, v.network) {
			r.fail("siem syslog is udp, tcp or tls, not %q", v.network)
		}
		if v.address != "" {
			host, port, err := net.SplitHostPort(v.address)
			n, err2 := strconv.ParseUint(port, 10, 16)
			if err != nil || err2 != nil || host == "" || n == 0 || strings.ContainsAny(host, " /@") {
				r.fail("siem syslog is at a host and a port, such as siem.example.com:6514, not %q", v.address)
			}
		}
	}
	return v
}

// anchor makes a relative path count from a folder.
func (s *SIEMSettings) anchor(dir string) { anchorPath(&s.File, dir) }

// collectors are those that the settings name, by what names their place in the chain.
func (v *siemValues) collectors() map[string]webhook.Collector {
	all := make(map[string]webhook.Collector)
	add := func(c webhook.Collector, where ...string) {
		sum := sha256.Sum256([]byte(strings.Join(where, " ")))
		all["siem "+hex.EncodeToString(sum[:12])] = c // as long as the name of a lease may be
	}
	if v.url != "" {
		add(&webhook.Hook{Client: webhook.NewTrusting(time.Now), URL: v.url, Secret: authcore.Secret(v.secret)}, "webhook", v.url)
	}
	if v.file != "" {
		add(&webhook.File{Path: v.file}, "file", filepath.Clean(v.file))
	}
	if v.network != "" {
		host, _ := os.Hostname()
		add(&webhook.Syslog{Network: v.network, Address: v.address, Host: host, Now: time.Now}, "syslog", v.network, v.address)
	}
	return all
}

// webhookSealer seals the secrets of webhooks.
func (c *core) webhookSealer() *authcore.Sealer { return c.key.NewSealer("webhook", time.Now) }

// telling tells webhooks and collectors of events while one configuration runs.
type telling struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

// start begins to tell. Of a configuration and the one that takes its place one does at a
// time: whoever has the lease.
func (t *telling) start(rt *instance) {
	c, v := rt.core, &rt.app.values
	ctx, cancel := context.WithCancel(context.Background())
	t.cancel = cancel
	holder := uuid.NewString()
	d := &webhook.Dispatcher{Store: c.db, Sealer: c.webhookSealer(), Client: webhook.NewClient(v.webhooks, time.Now), Holder: holder, Now: time.Now, Bell: &c.bell,
		Disable: rt.accounts.DisableWebhook, Tally: &c.told, Trouble: c.complaint("webhooks wait: the database does not answer").report}
	t.ended.Go(func() { d.Run(ctx) })
	if rt.pages.OAuth != nil {
		n := rt.notifier()
		t.ended.Go(func() {
			n.Run(ctx, c.turn(noticeLease, holder, noticeLeaseTime, noticeLeaseEvery), c.complaint("services are not told of sign-outs: the database does not answer").report)
		})
	}
	for name, collector := range v.siem.collectors() {
		f := &webhook.Follower{Store: c.db, Collector: collector, Name: name, Holder: holder, Now: time.Now, Bell: &c.bell, Tally: &c.told,
			Trouble: c.complaint(fmt.Sprintf("audit events wait for the collector (%s)", kindOf(collector))).report}
		t.ended.Go(func() { f.Run(ctx) })
	}
}

// kindOf names a collector as the configuration does.
func kindOf(c webhook.Collector) string {
	switch c.(type) {
	case *webhook.Hook:
		return "siem webhook"
	case *webhook.File:
		return "siem file"
	}
	return "siem syslog"
}

func (t *telling) end() {
	if t.cancel != nil {
		t.cancel()
	}
	t.ended.Wait()
}
