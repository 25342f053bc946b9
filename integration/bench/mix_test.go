package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// The mix is as it is told, and stays so while sign-ins are refused.
func TestTownKeepsTheMix(t *testing.T) {
	t.Parallel()
	for _, refuse := range []bool{false, true} {
		var people []person
		for n := range 100 {
			people = append(people, person{fmt.Sprintf("bob%d", n), fmt.Sprintf("gate=%d", n)})
		}
		w := newTown(visitor{authority: "localhost"}, people)
		seen := map[string]int{}
		for range 2000 {
			a := w.next()
			path := strings.Fields(string(a.request))[1]
			seen[path]++
			r := &response{status: 200, body: []byte(upstreamBody)}
			if bytes.HasPrefix(a.request, []byte("POST")) {
				r = &response{status: 303, cookie: "gate=fresh"}
				if bytes.Contains(a.request, []byte("not-the-one")) {
					r.status = 401
				}
				if refuse && path != "/.gate/logout" {
					r.status = 429
				}
			}
			if err := a.judge(r); err != nil && !errors.Is(err, errRefused) {
				t.Fatal(path, err)
			}
		}
		want := map[string]int{"/": 1680, "/.gate/whoami": 200, "/.gate/login": 50, "/.gate/logout": 50, "/.gate/register": 20}
		for path, n := range want {
			if seen[path] != n {
				t.Errorf("refuse %v: %d requests for %s, want %d", refuse, seen[path], path, n)
			}
		}
		if n := len(w.in) + len(w.out); n != len(people) {
			t.Errorf("refuse %v: %d people are left of %d", refuse, n, len(people))
		}
	}
}

// Whoever signed out must not be asked for a page again, nor one whose request
// is under way sign out.
func TestTownKeepsPeopleApart(t *testing.T) {
	t.Parallel()
	w := newTown(visitor{authority: "localhost"}, []person{{"alice", "gate=a"}, {"bob", "gate=b"}, {"carol", "gate=c"}})
	cookie := func(a ask) string { return headerLine(string(a.request), "Cookie") }
	first, second := w.ask(signingOut, take(&w.in)), w.ask(checking, take(&w.in))
	if cookie(first) == cookie(second) || len(w.in) != 0 {
		t.Fatalf("%q and %q, %d left", cookie(first), cookie(second), len(w.in))
	}
	if err := first.judge(nil); err != nil { // no answer: nobody knows whether it counted
		t.Error(err)
	}
	if err := second.judge(&response{status: 500}); err == nil {
		t.Error("a failed page counts as found")
	}
	if len(w.in) != 1 || len(w.out) != 2 || w.out[1].cookie != "" {
		t.Errorf("in %v, out %v", w.in, w.out)
	}
}
