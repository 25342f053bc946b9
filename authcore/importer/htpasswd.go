package importer

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// htpasswd reads the users of Apache's htpasswd: NAME:HASH on each line.
func (r *Result) htpasswd(body []byte) error {
	if !utf8.Valid(body) {
		return errors.New("it is not UTF-8 text")
	}
	n := 0
	for line := range strings.Lines(string(body)) {
		n++
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, hash, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return fmt.Errorf("line %d is not NAME:HASH", n)
		}
		hash, _, _ = strings.Cut(hash, ":") // some programs write more fields
		r.user(User{Username: name}, hash)
	}
	return nil
}
