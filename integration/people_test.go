package integration

import (
	"database/sql"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/store/storetest/dbserver"
	_ "modernc.org/sqlite" // to look at what was written
)

// person is an account that a test made.
type person struct{ Username, Email, Name, Password string }

// someone makes up a person from a username.
func someone(username string) person {
	return person{Username: username, Email: username + "@example.com", Name: strings.ToUpper(username[:1]) + username[1:],
		Password: username + "-has-a-long-password"}
}

func (p person) form() url.Values {
	return url.Values{"username": {p.Username}, "email": {p.Email}, "name": {p.Name}, "password": {p.Password}}
}

// createOwner makes the first owner through the setup link and gives the browser
// that is signed in on the portal, or on the site that the link names.
func (s *server) createOwner(t testing.TB, p person) *browser {
	t.Helper()
	b := s.Client(t)
	link, err := url.Parse(s.SetupLink(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := b.get(link.String()); got.StatusCode != http.StatusOK {
		t.Fatalf("setup page: %s\n%s", got.Status, got.Body)
	}
	form := p.form()
	form.Set("token", link.Query().Get("token"))
	link.RawQuery = ""
	if got := b.post(link.String(), form); got.StatusCode != http.StatusSeeOther {
		t.Fatalf("setup: %s\n%s", got.Status, got.Body)
	}
	return b
}

// register makes an account through the form at an origin, where the
// configuration has "register open", and gives the browser that is signed in.
func (s *server) register(t testing.TB, at string, p person) *browser {
	t.Helper()
	b := s.Client(t)
	if got := b.post(at+"/.gate/register", p.form()); got.StatusCode != http.StatusSeeOther {
		t.Fatalf("register %s: %s\n%s", p.Username, got.Status, got.Body)
	}
	return b
}

// addUser makes an account from the command line; more are further arguments,
// as "--group", "staff".
func (s *server) addUser(t testing.TB, p person, more ...string) {
	t.Helper()
	args := append([]string{"user", "add", p.Username, "--email", p.Email, "--name", p.Name, "--password-stdin"}, more...)
	s.must(t, p.Password+"\n", args...)
}

// login sends the sign-in form at an origin. The answer is what the form gives:
// a redirect when it worked.
func (b *browser) login(at string, p person) page {
	b.t.Helper()
	return b.post(at+"/.gate/login", url.Values{"username": {p.Username}, "password": {p.Password}})
}

// signIn signs in at an origin and must succeed.
func (b *browser) signIn(at string, p person) {
	b.t.Helper()
	if got := b.login(at, p); got.StatusCode != http.StatusSeeOther {
		b.t.Fatalf("sign-in of %s: %s\n%s", p.Username, got.Status, got.Body)
	}
}

// arrive opens a page behind the gate as somebody who is not signed in there, signs
// in on the form where that is what comes, and gives the page in the end.
func (b *browser) arrive(to string, p person) page {
	b.t.Helper()
	got := b.open(to)
	if !strings.Contains(got.Request.URL.Path, "/.gate/login") {
		return got
	}
	form := url.Values{"username": {p.Username}, "password": {p.Password}, "flow": {got.Request.URL.Query().Get("flow")},
		"return_to": {got.Request.URL.Query().Get("return_to")}}
	login := *got.Request.URL
	login.RawQuery = ""
	return b.follow(b.post(login.String(), form))
}

// database opens the server's database to look at it.
func (s *server) database(t testing.TB) *sql.DB {
	t.Helper()
	if s.cluster != nil && s.cluster.DB != nil {
		return s.cluster.open(dbserver.User)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(filepath.Join(s.Dir, "gate.db"))+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// in is a query with the placeholders of the server's database.
func (s *server) in(query string) string {
	if s.cluster != nil && s.cluster.Driver == "postgres" {
		return numbered(query)
	}
	return query
}

// writing opens the server's database to change it.
func (s *server) writing(t testing.TB) *sql.DB {
	t.Helper()
	if s.cluster != nil && s.cluster.DB != nil {
		return s.cluster.open(dbserver.User)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(filepath.Join(s.Dir, "gate.db"))+"?_pragma=busy_timeout(5000)&_txlock=immediate")
	must(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

// count asks the database for one number.
func (s *server) count(t testing.TB, query string, args ...any) int {
	t.Helper()
	var n int
	if err := s.database(t).QueryRow(s.in(query), args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
