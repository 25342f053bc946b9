package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"sync"
)

// doing is one kind of request in the mix of the scoreboard.
type doing int

const (
	checking    doing = iota // a page of the app, through the gate
	rechecking               // whoami: a page of ours
	signingIn                // one hash
	guessing                 // likewise, and an event that goes by the audit actor: a wrong password
	signingOut               //
	registering              // one hash
)

// mixCycle is how many requests of each kind there are in a row of 200, which is
// repeated. 3.5 % of them hash: fewer than 5 %, so that p95 tells of all the
// others, and enough for hashing to matter.
var mixCycle = map[doing]int{checking: 168, rechecking: 20, signingIn: 4, guessing: 1, signingOut: 5, registering: 2}

// mixWords says the mix for the report.
const mixWords = "84 % session checks through the gate to the upstream, 10 % /.gate/whoami, 2 % sign-ins, 0.5 % sign-ins with a wrong password, 2.5 % sign-outs, " +
	"1 % registrations; so 3.5 % of the requests hash a password"

// cycle is the row of 200 in an order that is mixed, and the same in each run.
func cycle() []doing {
	var row []doing
	for d := checking; d <= registering; d++ {
		for range mixCycle[d] {
			row = append(row, d)
		}
	}
	rand.New(rand.NewPCG(4, 2)).Shuffle(len(row), func(i, j int) { row[i], row[j] = row[j], row[i] })
	return row
}

// town is everybody who visits a site: those who are signed in and those who are
// not. Whoever has a request under way is in neither list, so that nobody signs
// out while a page of theirs is on its way.
type town struct {
	visitor visitor
	row     []doing

	mu      sync.Mutex
	in, out []person
	at      int // in the row
	new     int // registrations so far
}

// newTown puts everybody in it, signed in but for one in twenty.
func newTown(v visitor, people []person) *town {
	away := max(1, len(people)/20)
	return &town{visitor: v, row: cycle(), out: people[:away:away], in: people[away:]}
}

// next is the next request of the row.
func (t *town) next() ask {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.row[t.at%len(t.row)]
	t.at++
	switch {
	case d == registering:
		t.new++
		return ask{t.registration(fmt.Sprintf("carol%d", t.new)), changed}
	case d == guessing:
		form := url.Values{"username": {t.anybody()}, "password": {"not-the-one-47-orchard"}}
		return ask{t.visitor.form("/.gate/login", form), guessed}
	case d == signingIn && len(t.out) == 0, d != signingIn && len(t.in) == 0:
		d = signingIn // of somebody who is there: the list that is left
		if len(t.out) == 0 {
			return t.ask(d, take(&t.in))
		}
		return t.ask(d, take(&t.out))
	case d == signingIn:
		return t.ask(d, take(&t.out))
	}
	return t.ask(d, take(&t.in))
}

// anybody is the name of somebody who has an account. t.mu is held.
func (t *town) anybody() string {
	if len(t.in) > 0 {
		return t.in[0].name
	}
	return "bob1"
}

// take takes who has waited longest, so that all have their turn.
func take(from *[]person) person {
	p := (*from)[0]
	*from = (*from)[1:]
	return p
}

// ask is a request of one person. Its judge brings the person back.
func (t *town) ask(d doing, p person) ask {
	v := t.visitor
	v.credential = "Cookie: " + p.cookie
	switch d {
	case checking:
		return ask{v.request("/"), func(r *response) error {
			defer t.back(p, true)
			return found(r, []byte(upstreamBody))
		}}
	case rechecking:
		return ask{v.request("/.gate/whoami"), func(r *response) error {
			defer t.back(p, true)
			return found(r, nil)
		}}
	case signingOut:
		return ask{v.form("/.gate/logout", nil), func(r *response) error {
			t.back(p, false) // also without an answer: the session may have ended
			return changed(r)
		}}
	}
	return ask{t.visitor.signInForm(p.name), func(r *response) error {
		err := changed(r)
		if err == nil && r != nil {
			if p.cookie = r.cookie; p.cookie == "" {
				err = errors.New("signed in without a cookie")
			}
		}
		t.back(p, p.cookie != "")
		return err
	}}
}

// back brings somebody back after a request.
func (t *town) back(p person, in bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if in {
		t.in = append(t.in, p)
		return
	}
	p.cookie = ""
	t.out = append(t.out, p)
}

func (t *town) registration(name string) []byte {
	return t.visitor.form("/.gate/register", url.Values{"username": {name}, "email": {name + "@example.com"},
		"name": {"Carol"}, "password": {userPassword}})
}

// found judges an answer that should be 200; nil is that none came.
func found(r *response, body []byte) error {
	if r == nil {
		return nil
	}
	return r.is(200, body)
}

// changed judges the answer to a form: on to the next page, or refused.
func changed(r *response) error { return answered(r, 303) }

// guessed judges the answer to a wrong password.
func guessed(r *response) error { return answered(r, 401) }

// answered judges an answer that should have this status, or be refused.
func answered(r *response, status int) error {
	switch {
	case r == nil:
		return nil
	case r.status == 429:
		return errRefused
	}
	return r.is(status, nil)
}
