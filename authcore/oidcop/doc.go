// Package oidcop is the provider: OAuth 2.0 (RFC 6749, RFC 9700) and OpenID Connect Core 1.0
// for the services of organizations, on the users and sessions of the gate. There is one file
// for each grant. It answers the requests of programs itself; the pages that people see, such
// as the consent, are in package web, and ask here what to show and where to lead.
package oidcop
