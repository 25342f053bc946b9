package store

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"
)

// A server that is not there yet is waited for; a file that is not there is not.
func TestNotYet(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{refused, true},
		{fmt.Errorf("database: %w", refused), true},
		{&fs.PathError{Op: "open", Path: "gate.db.key", Err: syscall.ENOENT}, false},
		{fmt.Errorf("the secret key: %w", &fs.PathError{Op: "open", Path: "gate.db.key", Err: syscall.EACCES}), false},
	} {
		if got := NotYet(tt.err); got != tt.want {
			t.Errorf("%v: %v", tt.err, got)
		}
	}
}
