// Package authcore holds the words of Gatehouse (User, Session, Actor, Event, …)
// and the services that act on them: sign-in, registration, first run, sessions.
//
// It knows neither HTTP nor SQL nor Caddy. What it needs from a database it
// declares as small interfaces, which package store satisfies; what it shows to
// people is built by package web on top of it.
//
// # Trust
//
// Session tokens and one-time codes are 256 random bits; only their SHA-256 is
// kept. What people choose (passwords) goes through Argon2id behind a semaphore.
// State before sign-in is sealed (encrypted and authenticated) rather than
// stored, so that an anonymous request writes nothing.
package authcore
