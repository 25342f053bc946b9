package integration

import (
	"encoding/base64"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"math/bits"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func TestS6_TokensAreRandom(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	ones, total := 0, 0
	var perBit [256]int
	const n = 10_000
	for range n {
		secret, hash := authcore.NewToken()
		text := secret.Reveal()
		raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
		if err != nil || len(raw) != 32 || seen[text] || authcore.HashToken(text) != hash {
			t.Fatalf("token %q: %d bytes, seen before: %t, %v", text, len(raw), seen[text], err)
		}
		seen[text] = true
		for i, b := range raw {
			ones += bits.OnesCount8(b)
			for j := range 8 {
				perBit[8*i+j] += int(b>>j) & 1
			}
		}
		total += 8 * len(raw)
	}
	// Six standard deviations: a good source fails this once in a billion runs.
	if d := 2*ones - total; d*d > 36*total {
		t.Errorf("%d of %d bits are ones", ones, total)
	}
	for i, k := range perBit {
		if d := 2*k - n; d*d > 49*n {
			t.Errorf("bit %d is one in %d of %d tokens", i, k, n)
		}
	}
}

// TestS6_TokensOnTheWire looks at those that a server gives out.
func TestS6_TokensOnTheWire(t *testing.T) {
	t.Parallel()
	s := house.get(t)
	seen := make(map[string]bool)
	for range 30 {
		b := s.Client(t)
		b.signInTo(s, "app.example.com", bob)
		b.open(s.at("app.example.com", "/"))
		flow, _, _ := strings.Cut(b.cookie(s.at("app.example.com", "/"), "__Host-gate-flow"), ".") // then how often it led here
		for _, token := range []string{s.token(t, b, "auth.example.com"), s.token(t, b, "app.example.com"), flow} {
			raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
			if err != nil || len(raw) != 32 || seen[token] {
				t.Errorf("%q: %d bytes, seen before: %t, %v", token, len(raw), seen[token], err)
			}
			seen[token] = true
			if n := s.count(t, "SELECT COUNT(*) FROM sessions WHERE token_hash = ? OR id = ?", token, token); n != 0 {
				t.Error("the database holds a token as it is")
			}
		}
	}
}

// TestS6_NoWeakRandomness: the code of the house knows no other random source.
func TestS6_NoWeakRandomness(t *testing.T) {
	t.Parallel()
	files := token.NewFileSet()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "integration" || strings.HasPrefix(d.Name(), ".") && d.Name() != ".."):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(files, path, text, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, weak := range weakImports(file) {
			t.Errorf("%s imports %s: use crypto/rand", path, weak)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func weakImports(file *ast.File) []string {
	var weak []string
	for _, spec := range file.Imports {
		if name, err := strconv.Unquote(spec.Path.Value); err == nil && strings.HasPrefix(name, "math/rand") {
			weak = append(weak, name)
		}
	}
	return weak
}

func TestS7_ChangedTokens(t *testing.T) {
	t.Parallel()
	for s, host := range gated(t) {
		token := s.newToken(t, host, bob)
		forged := []string{"", token[1:], token[:len(token)-1], token[:len(token)/2], token + "A", token + "=", "A" + token, token + token,
			strings.ToLower(token), strings.ToUpper(token), strings.Repeat("A", 43), strings.Repeat("A", 5000), token + ".", token + "%00", "%20" + token,
			token[:20] + "%" + fmt.Sprintf("%02X", token[20]) + token[21:], strings.Repeat("=", 43), "' OR '1'='1", "null", "undefined", "[object Object]"}
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		for i := range len(token) {
			v := strings.IndexByte(alphabet, token[i])
			for _, bit := range []int{1, 2, 4, 8, 16, 32} {
				if i%8 != 0 && i != len(token)-1 && bit != 1 {
					continue // every place, and at some of them every bit
				}
				forged = append(forged, token[:i]+string(alphabet[v^bit])+token[i+1:])
			}
		}
		client := s.Client(t)
		client.Jar = nil
		for _, f := range forged {
			if got := client.fetch(s.at(host, "/s7"), header{"Cookie", s.cookieName(host) + "=" + f}); got.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s: %q for %q: %s", host, f, token, got.Status)
			}
		}
		if got := client.fetch(s.at(host, "/s7-right"), header{"Cookie", s.cookieName(host) + "=" + token}); got.StatusCode != http.StatusOK {
			t.Errorf("%s: the right token: %s", host, got.Status)
		}
	}
}
