//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package audit

import (
	"errors"
	"os"
)

// lock cannot be had here, so that there is no spill file either: what the
// database does not take waits in memory.
func lock(*os.File) error { return errors.ErrUnsupported }
