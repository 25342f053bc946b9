package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/password"
	"github.com/gatehouse-auth/gatehouse/store"
)

// person has an account, and a session on the site with the upstream.
type person struct {
	name   string
	cookie string // name=value
}

// hashSetting is how passwords are hashed wherever sign-ins are measured: the
// product's default, in the words of the Caddyfile.
func hashSetting() string {
	p := password.DefaultParams
	return fmt.Sprintf("%dMiB %d %d", p.Memory>>10, p.Passes, p.Lanes)
}

// settle fills a new database with people who all have the bench's password, and
// a session each. It goes past sign-in, which would hash once for each of them.
func settle(ctx context.Context, path string, count int, now time.Time) (people []person, err error) {
	db, err := store.Open(ctx, store.Config{Driver: store.SQLite, Path: path})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	hasher, err := password.NewHasher(password.NewGate(0), password.DefaultParams)
	if err != nil {
		return nil, err
	}
	hash, err := hasher.Hash(ctx, userPassword)
	if err != nil {
		return nil, err
	}
	for n := range count {
		// Last seen at any time in the interval in which that is written once, as
		// it is where people come and go; with everybody new, nothing would be due.
		seen := now.Add(-authcore.DefaultWriteEvery * time.Duration(n) / time.Duration(count))
		p, err := settleOne(ctx, db, fmt.Sprintf("bob%d", n), hash, seen)
		if err != nil {
			return nil, fmt.Errorf("make person %d: %w", n, err)
		}
		people = append(people, p)
	}
	return people, nil
}

func settleOne(ctx context.Context, db *store.DB, name string, hash password.Hash, at time.Time) (person, error) {
	u := authcore.User{ID: authcore.NewUserID(), Username: name, Email: name + "@example.com", Status: authcore.Active, Groups: []string{"staff"}, CreatedAt: at, UpdatedAt: at}
	by := authcore.Actor{Kind: authcore.ActorUser, User: u.ID}
	made := authcore.NewEvent(at, by, authcore.UserCreate, authcore.TargetUser(u.ID), authcore.Success, "")
	if err := db.CreateUser(ctx, u, hash, nil, made); err != nil {
		return person{}, err
	}
	token, tokenHash := authcore.NewToken()
	s := authcore.Session{ID: authcore.NewSessionID(), UserID: u.ID, Host: proxySite.host(), AMR: []string{"pwd"},
		AuthTime: at, CreatedAt: at, LastSeen: at, ExpiresAt: at.Add(24 * time.Hour), Address: "127.0.0.1", Agent: browserAgent}
	s.Root = s.ID
	in := authcore.NewEvent(at, by, authcore.UserLogin, authcore.TargetUser(u.ID), authcore.Success, "")
	return person{name, cookieName + "=" + token.Reveal()}, db.CreateSession(ctx, s, tokenHash, hash, in)
}

// form is a whole POST request of a form, as a browser sends it from a page of
// the gate's own.
func (v visitor) form(path string, fields url.Values) []byte {
	body := fields.Encode()
	lines := []string{
		"POST " + path + " HTTP/1.1",
		"Host: " + v.authority,
		"User-Agent: " + browserAgent,
		"Accept: text/html,*/*;q=0.8",
		"Accept-Encoding: gzip, deflate",
		"Origin: http://" + v.authority,
		"Sec-Fetch-Site: same-origin",
		"Sec-Fetch-Mode: navigate",
		"Content-Type: application/x-www-form-urlencoded",
		fmt.Sprintf("Content-Length: %d", len(body)),
	}
	if v.credential != "" {
		lines = append(lines, v.credential)
	}
	return []byte(strings.Join(lines, "\r\n") + "\r\n\r\n" + body)
}

// signInForm is the form of the sign-in page, filled in.
func (v visitor) signInForm(name string) []byte {
	return v.form("/.gate/login", url.Values{"username": {name}, "password": {userPassword}})
}
