package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
	"github.com/gatehouse-auth/gatehouse/store/storetest/dbserver"
)

// ground is a database for a portal, and beside it one that commits rows.
type ground struct {
	name    string
	config  store.Config
	server  *dbserver.Server // nil for SQLite
	pool    *sql.DB
	commits *sql.Stmt
}

// The row that is committed is that of a device grant.
const rawDevice = "INSERT INTO device_grants (device, user_code, service_id, scopes, resources, address, agent, status, user_id, session_id, created_at, expires_at)" +
	" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

// ground opens a new database of each use.
func (d database) ground(ctx context.Context, dir string) (g *ground, err error) {
	g = &ground{name: d.name}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	where := [2]string{filepath.Join(dir, "provider", "gate.db"), filepath.Join(dir, "provider", "commits.db")}
	if d.kind != "" {
		if g.server, err = dbserver.New(d.kind, dbserver.Durable); err != nil {
			return g, err
		}
		for i := range where {
			name, err := g.server.NewDatabase(ctx)
			if err != nil {
				return g, err
			}
			where[i] = g.server.DSN(name, dbserver.User)
		}
	}
	at := func(where string) store.Config {
		if d.kind == "" {
			return store.Config{Driver: d.driver, Path: where, Wait: patience}
		}
		return store.Config{Driver: d.driver, DSN: authcore.Secret(where), Wait: patience}
	}
	g.config = at(where[0])
	tables, err := store.Open(ctx, at(where[1]))
	if err == nil {
		err = tables.Close()
	}
	if err != nil {
		return g, err
	}
	if g.pool, err = d.pool(where[1]); err == nil {
		g.commits, err = g.pool.PrepareContext(ctx, d.rebind(rawDevice))
	}
	return g, err
}

func (g *ground) close() error {
	var errs []error
	if g.pool != nil {
		errs = append(errs, g.pool.Close())
	}
	if g.server != nil {
		errs = append(errs, g.server.Close())
	}
	return errors.Join(errs...)
}

// commitClients is how many clients commit.
const commitClients = 8

// commit commits one row.
func (g *ground) commit(ctx context.Context) error {
	_, device := authcore.NewToken()
	now := time.Now().UnixMicro()
	_, err := g.commits.ExecContext(ctx, device.Hex(), "", "0190a000-0000-7000-8000-000000000021", "openid offline_access", "", "127.0.0.1", "Television/1.0",
		authcore.DeviceWaiting, "", "", now, now+1)
	return err
}

// limits are what the grants are compared with: signatures and commits.
func (t *trial) limits(signs bool) ([]contender, error) {
	var all []contender
	if signs {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		digest := sha256.Sum256([]byte("a header and claims"))
		all = append(all, t.working(signatures, signatures, runtime.GOMAXPROCS(0), func(context.Context) error {
			_, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
			return err
		}))
	}
	for _, g := range t.grounds {
		all = append(all, t.working(commitsOn(g.name), commitsOn(g.name), commitClients, g.commit))
	}
	return all, nil
}

// working makes a contender of work in this process, in a closed loop.
func (t *trial) working(who, over variant, workers int, do func(context.Context) error) contender {
	return contender{who, over, func(ctx context.Context, d time.Duration) (s slice, err error) {
		if s.before, err = takeReading(0, t.b.upstream.pid(), os.Getpid()); err != nil {
			return s, err
		}
		parts := make([]outcome, workers)
		began := time.Now()
		end := began.Add(d)
		var all sync.WaitGroup
		for i := range parts {
			all.Go(func() {
				for at := time.Now(); at.Before(end); {
					if parts[i].failure = do(ctx); parts[i].failure != nil {
						return
					}
					now := time.Now()
					parts[i].latencies = append(parts[i].latencies, now.Sub(at))
					at = now
				}
			})
		}
		all.Wait()
		s.elapsed = time.Since(began)
		for _, p := range parts {
			s.latencies = slices.Concat(s.latencies, p.latencies)
			if p.failure != nil {
				s.fail(p.failure)
			}
		}
		s.requests = len(s.latencies)
		s.after, err = takeReading(0, t.b.upstream.pid(), os.Getpid())
		return s, err
	}}
}
