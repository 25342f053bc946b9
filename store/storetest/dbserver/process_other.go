//go:build !unix

package dbserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

var terminate = os.Kill

var errSystem = fmt.Errorf("dbserver: no servers on this system: %w", errors.ErrUnsupported)

func (*process) pause() error  { return errSystem }
func (*process) resume() error { return errSystem }
func (*process) kill() error   { return errSystem }

func dieWithParent(*exec.Cmd) {}

type owner struct{}

func findOwner([]string) (owner, error) { return owner{}, errSystem }
func (owner) give(string) error         { return errSystem }
func (owner) own(*exec.Cmd)             {}
