package access

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// parsePattern reads a path of a line that starts with word.
func parsePattern(word, arg string) (pattern, error) {
	path, below := strings.CutSuffix(arg, "/*")
	if below {
		path += "/"
	}
	switch {
	case !strings.HasPrefix(arg, "/"):
		return pattern{}, fmt.Errorf("%s path %q must start with /", word, arg)
	case strings.Contains(path, "*"):
		return pattern{}, fmt.Errorf("%s path %q may have * only at its end, after a /", word, arg)
	case strings.ContainsAny(path, "?#"):
		return pattern{}, fmt.Errorf("%s path %q must be a path alone, without ? and #", word, arg)
	case !Canonical(path, ""):
		return pattern{}, fmt.Errorf("%s path %q can never match: write it decoded, without %%, \\, ;, // and dot segments", word, arg)
	}
	return pattern{text: arg, path: strings.TrimSuffix(path, "/"), below: below}, nil
}

// Canonical reports whether a path has one meaning only, for us and for any
// upstream that might decode it again, clean it or cut it at a semicolon. Path
// is the decoded path, rawPath is url.URL.RawPath. It is false for:
//   - a path that does not start with /, or is not valid UTF-8
//   - the segments . and .. and empty segments (//); a slash at the end is fine
//   - a backslash, a semicolon, a control character
//   - a % that is left after decoding: the path was encoded twice
//   - a rawPath with one of / \ . % ; in encoded form
//   - a rawPath that is not an encoding of path
func Canonical(path, rawPath string) bool {
	if path == "" || path[0] != '/' || !utf8.ValidString(path) {
		return false
	}
	start := 1 // of the segment
	for i := 1; i < len(path); i++ {
		switch c := path[i]; {
		case c < 0x20 || c == 0x7f || c == '\\' || c == ';' || c == '%':
			return false
		case c == 0xc2 && path[i+1] < 0xa0: // U+0080 to U+009F; valid, so i+1 is there
			return false
		case c == '/':
			if i == start || dots(path[start:i]) {
				return false
			}
			start = i + 1
		}
	}
	return !dots(path[start:]) && (rawPath == "" || encodes(rawPath, path))
}

func dots(segment string) bool { return segment == "." || segment == ".." }

// encodes reports whether raw decodes to path (RFC 3986, section 2.1) without
// hiding a character that has a meaning in paths.
func encodes(raw, path string) bool {
	i := 0 // in path
	for j := 0; j < len(raw); i, j = i+1, j+1 {
		c := raw[j]
		if c == '%' {
			if j+2 >= len(raw) {
				return false
			}
			high, low := unhex(raw[j+1]), unhex(raw[j+2])
			if high > 15 || low > 15 {
				return false
			}
			c = high<<4 | low
			switch c {
			case '/', '\\', '.', '%', ';':
				return false
			}
			j += 2
		}
		if i >= len(path) || path[i] != c {
			return false
		}
	}
	return i == len(path)
}

// unhex returns the value of a hexadecimal digit, or more than 15.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	default:
		return 255
	}
}

// pattern is a path as a policy names it.
type pattern struct {
	text  string // as written
	path  string // without /* or a slash at its end; empty for the root of all
	below bool   // it ended with /*
}

// key is how a pattern is found: servers that fold case, or take a path with a
// slash at its end for the one without, must not lead around a rule.
func (p pattern) key() string { return fold(p.path) }

// spells tells whether a path that was found by the key is written as the pattern
// is.
func (p pattern) spells(path string) bool { return strings.HasPrefix(path, p.path) }

// fold brings a path into the form that servers without regard to case take it
// for.
func fold(path string) string {
	for _, r := range path {
		if foldRune(r) != r {
			return strings.Map(foldRune, path)
		}
	}
	return path
}

// foldRune goes by way of upper case: some letters have three cases, such as ſ and
// the Kelvin sign.
func foldRune(r rune) rune {
	if 'a' <= r && r <= 'z' || r < 'A' {
		return r
	}
	return unicode.ToLower(unicode.ToUpper(r))
}

// literalPath is a path as public and tokens lines name it, taken to the letter: one that ends with /* is kept with
// its slash.
type literalPath struct {
	path  string
	below bool
	rule  *Rule
}

func (p *literalPath) holds(path string) bool {
	if p.below {
		return strings.HasPrefix(path, p.path)
	}
	return path == p.path
}

// mayHold tells whether a server that takes less care would say that a path is held.
func (p *literalPath) mayHold(path string) bool {
	own, path := strings.TrimSuffix(p.path, "/"), strings.TrimSuffix(path, "/")
	if len(path) < len(own) || !strings.EqualFold(path[:len(own)], own) {
		return false
	}
	return len(path) == len(own) || p.below && path[len(own)] == '/'
}

// narrower tells which of two paths that hold the same request says more.
func (p *literalPath) narrower(other *literalPath) bool {
	if len(p.path) != len(other.path) {
		return len(p.path) > len(other.path)
	}
	return !p.below
}

func literalPathOf(arg string) literalPath {
	path, below := strings.CutSuffix(arg, "*")
	return literalPath{path: path, below: below}
}
