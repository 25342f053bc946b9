package password

import (
	"bufio"
	"crypto/sha1" // that is how the lists are kept; nothing rests on it
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Breached is a folder with passwords that are known from breaches, in the form in which
// Have I Been Pwned gives them out by prefix: a file for each of the first five hex
// digits of the SHA-1, as 0018A or 0018A.txt, with lines of the other 35 digits and a
// count, as 0018A45C4D1DEF81644B54AB7F969B88D65:21.
// Source: Have I Been Pwned API v3, "Searching by range".
type Breached struct{ dir fs.FS }

// prefixLength is how many digits name a file.
const prefixLength = 5

// OpenBreached looks whether a folder has such files.
func OpenBreached(dir string) (*Breached, error) {
	b := &Breached{os.DirFS(dir)}
	entries, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer entries.Close()
	for {
		names, err := entries.Readdirnames(1000)
		for _, name := range names {
			if name = strings.TrimSuffix(name, ".txt"); len(name) == prefixLength && strings.Trim(strings.ToUpper(name), "0123456789ABCDEF") == "" {
				return b, nil
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("no file in %s is named by five hex digits, as 0018A.txt", dir)
}

// Has tells whether a password is in the list. A file that is not there has none.
func (b *Breached) Has(pw string) (bool, error) {
	sum := sha1.Sum([]byte(pw))
	digits := strings.ToUpper(hex.EncodeToString(sum[:]))
	prefix, suffix := digits[:prefixLength], digits[prefixLength:]
	for _, name := range []string{prefix, prefix + ".txt", strings.ToLower(prefix), strings.ToLower(prefix) + ".txt"} {
		f, err := b.dir.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, err
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			hash, count, _ := strings.Cut(strings.TrimSpace(lines.Text()), ":")
			if strings.EqualFold(hash, suffix) && count != "0" { // which is padding
				return true, nil
			}
		}
		return false, lines.Err()
	}
	return false, nil
}
