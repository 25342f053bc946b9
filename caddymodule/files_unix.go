//go:build unix

package caddymodule

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// mayCreate refuses to create files in a folder that belongs to another user:
// the server that runs as that user could not read them.
func mayCreate(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	for os.IsNotExist(err) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		info, err = os.Stat(dir)
	}
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user id %d, and this command runs as %d: run it as the user that Caddy runs as, "+
			"e.g. with sudo -u caddy", dir, stat.Uid, os.Geteuid())
	}
	return nil
}

// examineFiles looks at who else could read the database and its key.
func examineFiles(database string) []finding {
	var found []finding
	for _, path := range []string{database, database + ".key"} {
		info, err := os.Stat(path)
		if err == nil && info.IsDir() {
			found = append(found, wrong("files", "%s is a folder: name a file", path))
		} else if err == nil && info.Mode().Perm()&0o077 != 0 {
			found = append(found, wrong("files", "%s can be read by others (mode %#o): chmod 600 it", path, info.Mode().Perm()))
		}
	}
	if found == nil {
		found = append(found, fine("files", "readable for their owner only"))
	}
	return found
}
