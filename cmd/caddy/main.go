// Command caddy is Caddy with the gate in it: what `xcaddy build --with
// github.com/gatehouse-auth/gatehouse` would produce.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/gatehouse-auth/gatehouse"
)

func main() { caddycmd.Main() }
