// Package api is the JSON API under /.gate/api/v1: one table of routes, from which come
// the router and the OpenAPI document. It knows the account services and what a request
// and an answer look like; whose a request is, package web tells it.
//
// To add routes: write a file named after the noun with a slice of Route, and add the
// slice to Routes.
package api
