package audit

import (
	"os"

	"golang.org/x/sys/windows"
)

// lock fails where another process, or another part of this one, has the file. The
// lock is on a byte far behind what is written, and goes with the process.
func lock(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0,
		&windows.Overlapped{OffsetHigh: 1 << 30})
}
