// Package caddymodule is what Caddy sees of Gatehouse: the app with its life
// cycle, the directives gate and gate_portal, their Caddyfile, and the commands.
// It alone knows Caddy; what it puts together is in authcore, authcore/web and
// store.
//
// What must outlive a reload (database, sessions in memory, the audit actor) is a
// core, kept in a pool under the database's name. What one configuration says is
// an App, and what it made of the two together is a runtime.
package caddymodule
