//go:build !linux

package integration

import "os/exec"

// dieWithParent does nothing here: a test binary that is killed may leave its
// Caddy running.
func dieWithParent(*exec.Cmd) {}
