package caddymodule

import (
	"regexp"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// placed finds file and line in an error.
var placed = regexp.MustCompile(`Testfile:\d+`)

// FuzzGlobalOption reads any text as the global option gate. It must not panic;
// an error says where it is; and what it takes can be written, read again and
// resolved as the same.
func FuzzGlobalOption(f *testing.F) {
	for _, seed := range []string{
		"gate", "gate {\n}", "gate {\n\tportal auth.example.com\n}", "gate {\n\tdatabase sqlite /x/gate.db\n\tregister open\n}",
		"gate {\n\ttrusted_proxies 10.0.0.0/8 private_ranges\n\tsecret_key {file./run/key}\n}",
		"gate {\n\tsession {\n\t\tidle 24h\n\t\tmax 30d\n\t}\n}",
		"gate {\n\thashing {\n\t\targon2id 19MiB 2 1\n\t\tpermits off\n\t\twhen_full wait 1s\n\t}\n}",
		"gate {\n\tactivity {\n\t\twrite_every 5m\n\t}\n\tlimits {\n\t\taddress 30 2s 10m\n\t\taccount off\n\t}\n}",
		"gate {\n\tpolicy staff {\n\t\tallow group:staff domain:example.com\n\t\tdeny user:bob\n\t\tnetwork 10.0.0.0/8\n\t\tpublic /healthz /a/*\n\t}\n}",
		"gate {\n\tsession", "gate {\n\tpolicy p {\n", "gate x", "gate \"\" {\n\t\"\" \"\"\n}", "gate {\n\tportal {env.X}\n}", "gate {\n\tsession {\n\t\tidle {\n\t\t}\n\t}\n}",
		"gate {\n\tportal <<X\n\ta\n\tX\n}", "gate {\n\thashing {\n\t\targon2id 99999999999999999999MiB -1 256\n\t}\n}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := caddyfile.Tokenize([]byte(text), "Testfile")
		if err != nil || len(tokens) == 0 {
			return // Caddy's lexer refuses it
		}
		got, err := parseGlobal(caddyfile.NewDispenser(tokens), nil)
		if err != nil {
			if !placed.MatchString(err.Error()) {
				t.Errorf("no file and line in: %v", err)
			}
			return
		}
		raw := got.(httpcaddyfile.App).Value
		s := new(Settings)
		if err := caddy.StrictUnmarshalJSON(raw, s); err != nil {
			t.Fatalf("what was read cannot be read again: %v\n%s", err, raw)
		}
		if again := caddyconfig.JSON(s, nil); string(again) != string(raw) {
			t.Errorf("read again it is another:\n%s\n%s", raw, again)
		}
		if _, err := s.resolve(nil); err != nil {
			t.Errorf("it was taken, and cannot be resolved: %v", err)
		}
	})
}
