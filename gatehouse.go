// Package gatehouse registers the gate's Caddy modules when it is imported:
//
//	xcaddy build --with github.com/gatehouse-auth/gatehouse
//
// The code is in caddymodule (what Caddy sees), authcore (the words and rules of
// the product) and store (the database).
package gatehouse

import _ "github.com/gatehouse-auth/gatehouse/caddymodule" // registers the modules
