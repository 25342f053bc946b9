// Package integration tests what people run: Caddy with the gate in it, as a
// process of its own on free ports, with real databases, a real browser and real
// clients. The package holds nothing but tests; bench measures the same, and
// tools has what the checks of this repository need.
//
// One file stands for one subject. The abuse_* files are requests that broke
// other products, named after the row of the threat model they come from.
package integration
