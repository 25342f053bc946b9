//go:build unix && !linux

package dbserver

import (
	"fmt"
	"os/exec"
	"strings"
)

// dieWithParent does nothing here: a test binary that is killed may leave its
// servers running.
func dieWithParent(*exec.Cmd) {}

// processes asks ps(1).
func processes() (map[int]status, error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,state=").Output()
	if err != nil {
		return nil, fmt.Errorf("dbserver: ps: %w", err)
	}
	found := make(map[int]status)
	for line := range strings.Lines(string(out)) {
		var s status
		if _, err := fmt.Sscanf(line, "%d %d %c", &s.pid, &s.parent, &s.state); err != nil {
			return nil, fmt.Errorf("dbserver: ps said %q: %w", line, err)
		}
		found[s.pid] = s
	}
	return found, nil
}
