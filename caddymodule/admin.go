package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
)

type adminAPI struct{}

func (*adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.gate", New: func() caddy.Module { return new(adminAPI) }}
}
func (*adminAPI) Routes() []caddy.AdminRoute { return nil }
