package integration

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the system kill the process when the thread that starts it
// ends (prctl(2), PR_SET_PDEATHSIG).
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
