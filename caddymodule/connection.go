package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/store"
)

// connection is where the operations of one command are carried out.
type connection struct {
	ctx    context.Context
	admin  string   // a running server, at this address …
	key    string   // … on this database
	core   *core    // or the database, opened for the command
	local  *console // with its services
	remote *remote  // or an installation elsewhere, by its API
	cancel context.CancelFunc
}

// connected makes the body of a command that needs a connection. create allows
// to make a SQLite database that is not there.
func connected(cmd *cobra.Command, create bool, f func(*connection) error) error {
	at, err := atOf(cmd)
	if err != nil {
		return err
	}
	if at != "" {
		return elsewhereConnected(cmd, at, f)
	}
	t, err := readTarget(cmd)
	if err != nil {
		return err
	}
	c, err := t.connect(cmd.Context(), create)
	if err != nil {
		return err
	}
	defer c.close()
	return f(c)
}

// elsewhereConnected is connected for an installation elsewhere. What that says must not
// steer the terminal.
func elsewhereConnected(cmd *cobra.Command, at string, f func(*connection) error) error {
	r, err := remoteAt(cmd, at)
	if err != nil {
		return err
	}
	cmd.SetOut(&plainWriter{out: cmd.OutOrStdout()})
	return f(&connection{ctx: cmd.Context(), remote: r})
}

// connect finds a server that runs with this configuration, or opens the database
// itself.
func (t *target) connect(ctx context.Context, create bool) (*connection, error) {
	c := &connection{key: t.values.database.Key()}
	c.ctx, c.cancel = context.WithCancel(ctx)
	var err error
	if t.admin != "" && listens(t.admin) {
		if ans, found, err := ask(t.admin, call{Database: c.key}); err != nil || found && ans.Error != "" {
			c.cancel()
			return nil, errors.Join(err, errorOf(ans))
		} else if found {
			c.admin = t.admin
			return c, nil
		}
	}
	if err = c.open(t, create); err != nil {
		c.cancel()
	}
	return c, err
}

// open opens the database. A server that runs on it without an admin endpoint
// sees a change within a second.
func (c *connection) open(t *target, create bool) error {
	ctx, cancel := context.WithTimeout(c.ctx, commandTime)
	defer cancel()
	path := t.values.database.Path
	if _, err := os.Stat(path); path != "" && errors.Is(err, os.ErrNotExist) {
		if !create {
			return fmt.Errorf("there is no database at %s yet; start Caddy once, or make the first owner with: "+
				"caddy gate user add NAME --owner --password-stdin", path)
		}
		if err := mayCreate(path); err != nil {
			return err
		}
	}
	if !create {
		if err := mustBeMade(ctx, t.values.database); err != nil {
			return err
		}
	}
	opened := newCore(t.values.database)
	opened.brief = true
	if err := opened.open(ctx, t.values); err != nil {
		return err
	}
	accounts, err := opened.accounts(t.values)
	if err != nil {
		return errors.Join(err, opened.Destruct())
	}
	c.core, c.local = opened, &console{accounts: accounts, db: opened.db, keys: opened.keys, explain: t.explain}
	if t.values.portal.host != "" {
		c.local.origin = t.values.portal.String()
	}
	return nil
}

// emptyError says that nobody has made the tables of a database yet.
type emptyError struct{ database store.Config }

func (e emptyError) Error() string {
	return fmt.Sprintf("database %s is empty; start Caddy once, copy into it, or make the first owner with: "+
		"caddy gate user add NAME --owner --password-stdin", e.database)
}

// mustBeMade refuses a database server's empty database: who opens it makes its
// tables and binds it to the secret key, and then nothing can be copied into it.
func mustBeMade(ctx context.Context, c store.Config) error {
	if c.Driver == store.SQLite {
		return nil
	}
	made, err := store.Made(ctx, c)
	if err == nil && !made {
		err = emptyError{c}
	}
	return err
}

// close writes what waits.
func (c *connection) close() {
	if c.core != nil {
		_ = c.core.Destruct() // every operation has reported its own failure
	}
	c.cancel()
}

// do carries out an operation and reads its answer into result.
func (c *connection) do(name string, args, result any) error {
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	if c.remote != nil {
		return c.remote.do(name, raw, result)
	}
	var ans answer
	if c.local != nil {
		ctx, cancel := context.WithTimeout(c.ctx, commandTime)
		ans = c.local.run(ctx, name, raw)
		cancel()
	} else {
		var found bool
		ans, found, err = ask(c.admin, call{Database: c.key, Operation: name, Args: raw})
		if err == nil && !found {
			err = errors.New("the server has changed its configuration meanwhile; try again")
		}
	}
	if err = errors.Join(err, errorOf(ans)); err != nil {
		return err
	}
	return json.Unmarshal(ans.Result, result)
}

func errorOf(ans answer) error {
	if ans.Error == "" {
		return nil
	}
	return errors.New(ans.Error)
}

// listens tells whether anything is at the admin address. Only where nothing is,
// or something else, is the database opened beside it: an operation that may have
// been carried out is not carried out again.
func listens(admin string) bool {
	addr, err := caddy.ParseNetworkAddress(admin)
	if err != nil {
		return false
	}
	at := addr.JoinHostPort(0)
	if addr.IsUnixNetwork() {
		at = addr.Host
	}
	conn, err := net.DialTimeout(addr.Network, at, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// ask sends a call to an admin endpoint. found is false where the server has no
// gate, or one on another database. A call without operation only looks.
func ask(admin string, c call) (ans answer, found bool, err error) {
	body, err := json.Marshal(c)
	if err != nil {
		return ans, false, err
	}
	resp, err := caddycmd.AdminAPIRequest(admin, http.MethodPost, adminPath, http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(body))
	if err != nil {
		if strings.Contains(err.Error(), "HTTP 404") {
			return ans, false, nil // a Caddy without the gate
		}
		return ans, false, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(&ans); err != nil {
		return ans, false, fmt.Errorf("the server's answer cannot be read: %w", err)
	}
	return ans, !ans.Elsewhere, nil
}
