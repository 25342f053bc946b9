// Package web is everything of Gatehouse that speaks HTTP: the check that the
// gate makes of each request, the sign-in and account pages, and the answers for
// machines. All of it is plain net/http; package caddymodule puts it into Caddy.
//
// # Trust
//
// Nothing here believes a header about where a request came from or which host
// it is for: both arrive as a Place, which configuration made. User data reaches
// pages through html/template only, and headers after control characters were
// refused. Every change needs a request from our own pages (Sec-Fetch-Site or
// Origin), and a GET changes nothing but what a signed-in browser's hand-off
// needs.
package web
