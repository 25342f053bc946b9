package password

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/bcrypt"
	"github.com/go-crypt/crypt/algorithm/pbkdf2"
	"github.com/go-crypt/crypt/algorithm/scrypt"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
)

// foreignForm is a kind of hash that other systems make. We make none of them, and
// replace them when their user signs in.
type foreignForm struct {
	form   *regexp.Regexp // the cost is its groups
	within func(cost []int) bool
	decode func(string) (algorithm.Digest, error)
}

// foreignForms are narrower than what the decoders take: the text comes from a
// file, and a single cost in it could keep a permit for an hour. The upper limits are
// several times what the systems suggest, and take a second or two, and 256 MiB.
var foreignForms = []foreignForm{
	{regexp.MustCompile(`^\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}$`),
		func(c []int) bool { return c[0] >= 4 && c[0] <= 15 }, bcrypt.Decode},
	{regexp.MustCompile(`^\$5\$(?:rounds=([1-9][0-9]{3,6})\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{43}$`),
		func(c []int) bool { return c[0] <= 2_000_000 }, shacrypt.Decode},
	{regexp.MustCompile(`^\$6\$(?:rounds=([1-9][0-9]{3,6})\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{86}$`),
		func(c []int) bool { return c[0] <= 2_000_000 }, shacrypt.Decode},
	{regexp.MustCompile(`^\$pbkdf2(?:-sha(?:1|224|256|384|512))?\$([1-9][0-9]{2,7})\$[./A-Za-z0-9]{11,86}\$[./A-Za-z0-9]{22,86}$`),
		func(c []int) bool { return c[0] <= 2_000_000 }, pbkdf2.Decode},
	{regexp.MustCompile(`^\$scrypt\$ln=([1-9][0-9]?),r=([1-9][0-9]{0,2}),p=([1-9][0-9]?)\$[+/A-Za-z0-9]{11,86}\$[+/A-Za-z0-9]{22,86}$`),
		func(c []int) bool { return c[0] <= 21 && c[1]<<(7+c[0])*c[2] <= 1<<29 && c[1]<<(7+c[0]) <= 1<<28 }, scrypt.Decode},
}

var errForeign = errors.New("a hash of a kind that cannot be taken over")

// Import reads a hash of another system, which [Hasher.Verify] then knows: Argon2id
// in PHC form, bcrypt, SHA-256-crypt and SHA-512-crypt, PBKDF2 and scrypt as passlib
// writes them. No error has any part of the text in it.
func Import(text string) (Hash, error) {
	text = strings.TrimPrefix(strings.TrimSpace(text), "{CRYPT}")
	if strings.HasPrefix(text, phcPrefix) {
		_, err := ParseHash(text)
		return Hash(text), err
	}
	if _, err := parseForeign(text); err != nil {
		return "", err
	}
	return Hash(text), nil
}

// parseForeign reads a hash that is not ours.
func parseForeign(text string) (algorithm.Digest, error) {
	if len(text) > maxHashLen-1 { // what the database keeps
		return nil, errForeign
	}
	for _, f := range foreignForms {
		found := f.form.FindStringSubmatch(text)
		if found == nil {
			continue
		}
		var cost []int
		for _, digits := range found[1:] {
			n, _ := strconv.Atoi(digits) // none, or few digits
			cost = append(cost, n)
		}
		if !f.within(cost) {
			return nil, fmt.Errorf("%w: it costs too much, or too little", errForeign)
		}
		d, err := f.decode(text)
		if err != nil {
			return nil, errForeign // its own error may quote the text
		}
		return d, nil
	}
	return nil, errForeign
}
