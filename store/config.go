package store

import (
	"errors"
	"path/filepath"
	"strings"
	"time"
)

// Config names a database.
type Config struct {
	Driver string // "sqlite"
	Path   string // sqlite: the file

	// Wait is how long a command may wait for the writer and for its commit;
	// 0 means 3 s.
	Wait time.Duration
}

const defaultWait = 3 * time.Second

// Validate finds what is missing or cannot work.
func (c Config) Validate() error {
	if c.Driver != "sqlite" {
		return errors.New(`the database must be "sqlite"`)
	}
	if c.Path == "" {
		return errors.New("the database needs a file")
	}
	if strings.ContainsAny(c.Path, "?#\x00") || strings.HasPrefix(c.Path, "file:") || c.Path == ":memory:" {
		return errors.New("the database must be a plain file path, without ? and #")
	}
	return nil
}

// Key identifies the database: two configurations with one key mean the same.
func (c Config) Key() string {
	path, err := filepath.Abs(c.Path)
	if err != nil {
		path = filepath.Clean(c.Path)
	}
	return c.Driver + ":" + path
}

// String is the database in a form that can be shown.
func (c Config) String() string { return c.Driver + " " + c.Path }
