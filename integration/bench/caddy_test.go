package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCaddyfile(t *testing.T) {
	t.Parallel()
	const proxy = "\treverse_proxy 127.0.0.1:9 {\n\t\ttransport http {\n\t\t\tkeepalive_idle_conns_per_host 512\n\t\t}\n\t}\n}\n"
	file := func(global, login string) string {
		return "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n\tgrace_period 2s\n" + global + "}\n" +
			"\nhttp://localhost:1 {\n\tbind 127.0.0.1\n" + login + proxy +
			"\nhttp://respond.localhost:2 {\n\tbind 127.0.0.1\n" + login + "\trespond \"ok\"\n}\n"
	}
	for v, want := range map[variant]string{
		bare:      file("", ""),
		control:   file("", ""),
		gated:     file("\tgate {\n\t\tdatabase sqlite \"/dir/gate.db\"\n\t}\n", "\tgate\n"),
		basicAuth: file("", "\tbasic_auth {\n\t\talice HASH\n\t}\n"),
	} {
		p := caddyPlan{
			variant: v, ports: map[site]int{proxySite: 1, respondSite: 2},
			upstream: "127.0.0.1:9", database: "/dir/gate.db", passwordHash: "HASH",
		}
		if diff := cmp.Diff(want, p.caddyfile()); diff != "" {
			t.Errorf("%s: %s", v, diff)
		}
	}
}
