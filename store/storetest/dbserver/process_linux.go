package dbserver

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// dieWithParent has the system kill the process when the thread that starts it
// ends (prctl(2), PR_SET_PDEATHSIG). PostgreSQL's children end when they see that.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL }

// processes reads /proc (proc_pid_stat(5)).
func processes() (map[int]status, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	found := make(map[int]status)
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue // it is gone
		}
		s := status{pid: pid}
		fields := string(stat[strings.LastIndexByte(string(stat), ')')+1:]) // after the name, which may hold anything
		if _, err := fmt.Sscanf(fields, " %c %d", &s.state, &s.parent); err != nil {
			return nil, fmt.Errorf("dbserver: /proc/%d/stat: %w", pid, err)
		}
		found[pid] = s
	}
	return found, nil
}
