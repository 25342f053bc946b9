package caddymodule

import "testing"

// A pattern's "*" is one label, and nothing that makes another host of it: HTTP/2 lets
// any text be the host of a request.
func TestMatches(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"a.example.com": true, "A-1_b.Example.com": true, "xn--bcher-kva.example.com": true, "b\u00fccher.example.com": true,
		"example.com": false, ".example.com": false, "a.b.example.com": false, "aexample.com": false, "a.example.com.evil.example": false,
		"16909060/.example.com": false, "evil?.example.com": false, "evil#.example.com": false, "evil\\.example.com": false, "evil:80.example.com": false,
		"u@evil.example.com": false, "a b.example.com": false, "%2f.example.com": false,
	} {
		if got := matches("*.example.com", host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}
