package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// signIns are the installations that somebody is signed in to on this machine.
type signIns struct {
	Default string            `json:"default"` // the last one, by its origin
	At      map[string]signIn `json:"installations"`
}

// signIn is one of them.
type signIn struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires_at"`
}

// signInsFile is where they are kept.
func signInsFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("there is no folder for sign-ins: %w", err)
	}
	return filepath.Join(dir, "gatehouse", "tokens.json"), nil
}

// readSignIns reads the file; where there is none, nobody is signed in anywhere.
func readSignIns() (signIns, error) {
	all := signIns{At: make(map[string]signIn)}
	name, err := signInsFile()
	if err != nil {
		return all, err
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return all, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return all, fmt.Errorf("%s cannot be read: %w; delete it, and sign in again", name, err)
	}
	if all.At == nil {
		all.At = make(map[string]signIn)
	}
	return all, nil
}

// write replaces the file, which nobody else can read.
func (all *signIns) write() error {
	name, err := signInsFile()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), "tokens-*") // with the mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// keep notes a sign-in, as the last one, and gives the one that it replaces.
func (all *signIns) keep(origin string, s signIn) (before signIn) {
	before = all.At[origin]
	all.At[origin], all.Default = s, origin
	return before
}

// drop forgets one. Where one is left, that is the default.
func (all *signIns) drop(origin string) {
	delete(all.At, origin)
	if all.Default != origin {
		return
	}
	all.Default = ""
	if len(all.At) == 1 {
		for all.Default = range all.At {
		}
	}
}

// find finds the sign-in at an address; the default where it is empty.
func (all *signIns) find(at string) (origin string, s signIn, err error) {
	if at == "" {
		at = all.Default
	}
	switch {
	case at == "" && len(all.At) > 0:
		return "", s, errors.New("you are signed in to several installations: say which, with --at URL")
	case at == "":
		return "", s, errors.New("you are not signed in: caddy gate login https://auth.example.com")
	}
	o, err := parseOrigin(at)
	if err != nil {
		return "", s, fmt.Errorf("%q: %w", at, err)
	}
	s, ok := all.At[o.String()]
	if !ok {
		return "", s, fmt.Errorf("you are not signed in to %s: caddy gate login %s", o, o)
	}
	return o.String(), s, nil
}

// atVariable names, in the environment, the installation that commands work on.
const atVariable = "GATE_AT"

// atOf is the installation elsewhere that a command is to work on; empty for this machine.
// A configuration that is named counts for more than the environment.
func atOf(cmd *cobra.Command) (string, error) {
	at, err := cmd.Flags().GetString("at")
	switch {
	case err != nil:
		return "", err
	case cmd.Flags().Changed("at") && at == "":
		return "", errors.New("--at is empty: name an installation, as https://auth.example.com")
	case at == "" && !cmd.Flags().Changed("config"):
		at = os.Getenv(atVariable)
	}
	return at, nil
}

// onlyHere refuses to work elsewhere.
func onlyHere(cmd *cobra.Command) error {
	at, err := atOf(cmd)
	if err == nil && at != "" {
		err = errOnlyThere
	}
	return err
}

// remoteAt gives the installation that a command is to work on, with the token for it.
func remoteAt(cmd *cobra.Command, at string) (*remote, error) {
	all, err := readSignIns()
	if err != nil {
		return nil, err
	}
	origin, s, err := all.find(at)
	if err != nil {
		return nil, err
	}
	r := newRemote(cmd.Context(), origin)
	r.token = s.Token
	return r, nil
}
