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
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "gate",
		Usage: "<command>",
		Short: "Manages users and sessions of the gate",
		Long: `Manages users and sessions of the gate.

Works whether or not a server runs: through Caddy's admin endpoint where one runs
with this configuration, else on the database itself.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.PersistentFlags().StringP("config", "c", "Caddyfile", "the Caddyfile (or JSON configuration) of the server")
			cmd.SilenceUsage = true
			parent(cmd, userCommand(), sessionCommand(), doctorCommand())
		},
	})
}

// parent makes a command that only groups others: it shows its help, and fails on
// a word that it does not know.
func parent(cmd *cobra.Command, children ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(children...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q; see: %s --help", args[0], cmd.CommandPath())
		}
		return cmd.Help()
	}
	return cmd
}

// target is what a command acts on, from the configuration file.
type target struct {
	settings Settings
	values   values
	admin    string // address of the admin endpoint; empty where it is off
}

// commandTime bounds a command that talks to a database.
const commandTime = 30 * time.Second

// readTarget reads the configuration that --config names.
func readTarget(cmd *cobra.Command) (*target, error) {
	name, err := cmd.Flags().GetString("config")
	if err != nil {
		return nil, err
	}
	raw, err := readConfig(name)
	if err != nil {
		return nil, err
	}
	var config struct {
		Admin *caddy.AdminConfig `json:"admin"`
		Apps  struct {
			Gate json.RawMessage `json:"gate"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t := &target{admin: caddy.DefaultAdminListen}
	switch a := config.Admin; {
	case a != nil && a.Disabled:
		t.admin = ""
	case a != nil && a.Listen != "":
		t.admin = caddy.NewReplacer().ReplaceAll(a.Listen, "")
	}
	if config.Apps.Gate != nil {
		if err := caddy.StrictUnmarshalJSON(config.Apps.Gate, &t.settings); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	t.values, err = t.settings.resolve(expander())
	return t, err
}

// readConfig reads a Caddyfile, or JSON by the file's ending, as Caddy's JSON.
func readConfig(name string) ([]byte, error) {
	body, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("the configuration cannot be read: %w; name it with --config", err)
	}
	if strings.EqualFold(filepath.Ext(name), ".json") {
		return body, nil
	}
	raw, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(body, map[string]any{"filename": name})
	return raw, err
}

// connection is where the operations of one command are carried out.
type connection struct {
	ctx    context.Context
	admin  string   // a running server, at this address …
	key    string   // … on this database
	core   *core    // or the database, opened for the command
	local  *console // with its services
	cancel context.CancelFunc
}

// connected makes the body of a command that needs a connection. create allows
// to make a SQLite database that is not there.
func connected(cmd *cobra.Command, create bool, f func(*connection) error) error {
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

// connect finds a server that runs with this configuration, or opens the database
// itself.
func (t *target) connect(ctx context.Context, create bool) (*connection, error) {
	c := &connection{key: t.values.database.Key()}
	c.ctx, c.cancel = context.WithTimeout(ctx, commandTime)
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
	path := t.values.database.Path
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if !create {
			return fmt.Errorf("there is no database at %s yet; start Caddy once, or make the first owner with: "+
				"caddy gate user add NAME --owner --password-stdin", path)
		}
		if err := mayCreate(path); err != nil {
			return err
		}
	}
	opened := newCore(t.values.database)
	if err := opened.open(c.ctx, t.values); err != nil {
		return err
	}
	accounts, err := opened.accounts(t.values)
	if err != nil {
		return errors.Join(err, opened.Destruct())
	}
	c.core, c.local = opened, &console{accounts: accounts, db: opened.db}
	if t.values.portal.host != "" {
		c.local.origin = t.values.portal.String()
	}
	return nil
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
	var ans answer
	if c.local != nil {
		ans = c.local.run(c.ctx, name, raw)
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

// once carries out one operation and prints the sentence that said makes of its
// result.
func once[T any](cmd *cobra.Command, create bool, name string, args any, said func(T) string) error {
	return connected(cmd, create, func(c *connection) error {
		var result T
		if err := c.do(name, args, &result); err != nil {
			return err
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), said(result))
		return err
	})
}

// listing makes a command that prints page after page of a list, as a table under
// a heading or as JSON lines. next gives one page and columns those of an element.
func listing[T any](short, heading string, next func(*connection) ([]T, error), columns func(T) []string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "list", Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return printPages(cmd, asJSON, heading, next, columns) }}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func jsonFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print JSON lines")
}

// printPages is the body of a listing.
func printPages[T any](cmd *cobra.Command, asJSON bool, heading string, next func(*connection) ([]T, error), columns func(T) []string) error {
	return connected(cmd, false, func(c *connection) error {
		table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
		if !asJSON {
			fmt.Fprintln(table, heading)
		}
		for {
			page, err := next(c)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), page)
			}
			for _, one := range page {
				if !asJSON {
					fmt.Fprintln(table, strings.Join(columns(one), "\t"))
				}
			}
			if err != nil || len(page) < pageSize {
				return errors.Join(err, table.Flush())
			}
		}
	})
}

// printJSON prints a result as JSON, one line for each element of a list.
func printJSON[T any](w io.Writer, all []T) error {
	enc := json.NewEncoder(w)
	for _, one := range all {
		if err := enc.Encode(one); err != nil {
			return err
		}
	}
	return nil
}
