// Package importer reads the users, groups and rules of other systems: what people
// had in files before they came. It changes nothing, and says of everything in a
// file either what becomes of it or that it cannot be taken over.
package importer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/password"
)

// User is an account of another system.
type User struct {
	Username, Email, Name string
	Groups                []string
	Hash                  password.Hash // empty where none can be taken over
	Disabled              bool
}

// Policy is a policy that does what rules of another system did, and what it is for.
type Policy struct {
	Name  string
	For   string // the host, where the file says so
	Lines []access.Line
	Text  string // as in a Caddyfile
}

// Result is what a file holds.
type Result struct {
	Users    []User
	Policies []Policy
	Left     []string // what is not taken over, or not the same, a sentence each
}

func (r *Result) leave(format string, args ...any) {
	r.Left = append(r.Left, fmt.Sprintf(format, args...))
}

// Kinds are the systems whose files are known.
var Kinds = []string{"authelia", "caddy-security", "htpasswd", "oauth2-proxy"}

// maxFile is the most that is read of a file, in bytes.
const maxFile = 64 << 20

// files reads the files that another names; tests have their own.
type files func(name string) ([]byte, error)

// ReadFile reads a file of one of the Kinds, and the files that it names.
func ReadFile(kind, name string) (*Result, error) {
	body, err := read(name)
	if err != nil {
		return nil, err
	}
	res, err := parse(kind, body, beside(name))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return res, nil
}

func read(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(body) > maxFile {
		err = fmt.Errorf("%s is larger than %d MiB", name, maxFile>>20)
	}
	return body, err
}

// beside finds a file that another one names: as it is named, or in the other's own
// folder, because the name may be that inside a container.
func beside(name string) files {
	return func(named string) ([]byte, error) {
		body, err := read(filepath.Join(filepath.Dir(name), filepath.Base(named)))
		if errors.Is(err, os.ErrNotExist) && filepath.IsAbs(named) {
			return read(named)
		}
		return body, err
	}
}

func parse(kind string, body []byte, other files) (*Result, error) {
	res := new(Result)
	var err error
	switch kind {
	case "htpasswd":
		err = res.htpasswd(body)
	case "authelia":
		err = res.authelia(body, other)
	case "oauth2-proxy":
		err = res.oauth2Proxy(body, other)
	case "caddy-security":
		err = res.caddySecurityUsers(body)
	default:
		err = fmt.Errorf("%q is not known; known are %s", kind, strings.Join(Kinds, ", "))
	}
	if err != nil {
		return nil, err
	}
	return res, nil
}

// user adds a user, with what of it can be.
func (r *Result) user(u User, hash string) {
	u.Username, u.Email, u.Name = strings.TrimSpace(u.Username), strings.TrimSpace(u.Email), strings.TrimSpace(u.Name)
	u.Groups = r.groups("user "+u.Username, u.Groups)
	var err error
	if hash == "" {
		r.leave("user %s: has no password there: nobody can sign in until you set one with: caddy gate user password %s", u.Username, u.Username)
	} else if u.Hash, err = password.Import(hash); err != nil {
		r.leave("user %s: the password cannot be taken over (%s): set one with: caddy gate user password %s", u.Username, err, u.Username)
	}
	r.Users = append(r.Users, u)
}

// groups gives groups names that they can have here.
func (r *Result) groups(of string, all []string) []string {
	var kept []string
	for _, g := range all {
		name, ok := groupName(g)
		if !ok {
			r.leave("%s: group %q: a group name can have up to 64 letters, digits and . _ - : / @ only", of, g)
			continue
		}
		if name != g {
			r.leave("%s: group %q is %q here", of, g, name)
		}
		kept = append(kept, name)
	}
	return kept
}

func groupName(g string) (string, bool) {
	name := strings.ToLower(strings.Join(strings.Fields(g), "-"))
	return name, access.ValidGroup(name)
}
