package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
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
			cmd.AddCommand(userCommand(), sessionCommand(), doctorCommand())
			noSubcommand(cmd)
		},
	})
}

// noSubcommand makes a command that only groups others show its help, and fail
// on a word that it does not know.
func noSubcommand(cmd *cobra.Command) {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q; see: %s --help", args[0], cmd.CommandPath())
		}
		return cmd.Help()
	}
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
		if err := unmarshal(config.Apps.Gate, &t.settings); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if t.values, err = t.settings.resolve(expander()); err == nil {
		err = t.values.together()
	}
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

// act carries an operation out where it belongs and reads its answer into result.
// create allows to make a SQLite database that is not there.
func act(cmd *cobra.Command, name string, args, result any, create bool) error {
	t, err := readTarget(cmd)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), commandTime)
	defer cancel()
	ans, found := t.remote(name, raw)
	if !found {
		if ans, err = t.local(ctx, name, raw, create); err != nil {
			return err
		}
	}
	if ans.Error != "" {
		return errors.New(ans.Error)
	}
	return json.Unmarshal(ans.Result, result)
}

// remote asks a running server; found is false where none runs with this
// database.
func (t *target) remote(name string, args json.RawMessage) (ans answer, found bool) {
	if t.admin == "" {
		return answer{}, false
	}
	body, err := json.Marshal(call{Database: t.values.database.Key(), Operation: name, Args: args})
	if err != nil {
		return answer{}, false
	}
	resp, err := caddycmd.AdminAPIRequest(t.admin, http.MethodPost, adminPath, http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(body))
	if err != nil {
		return answer{}, false
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil || json.Unmarshal(text, &ans) != nil || ans.Elsewhere {
		return answer{}, false
	}
	return ans, true
}

// local opens the database for one operation. A server that runs on it without
// an admin endpoint sees the change within a second.
func (t *target) local(ctx context.Context, name string, args json.RawMessage, create bool) (answer, error) {
	path := t.values.database.Path
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if !create {
			return answer{}, fmt.Errorf("there is no database at %s yet; start Caddy once, or make the first owner with: "+
				"caddy gate user add NAME --owner --password-stdin", path)
		}
		if err := mayCreate(path); err != nil {
			return answer{}, err
		}
	}
	c := newCore(t.values.database)
	if err := c.open(ctx, t.values); err != nil {
		return answer{}, err
	}
	defer c.Destruct() // a failed last write was reported by the operation already
	accounts, err := c.accounts(t.values)
	if err != nil {
		return answer{}, err
	}
	con := &console{accounts: accounts, db: c.db}
	if t.values.portal != "" {
		if o, err := parseOrigin(t.values.portal); err == nil {
			con.origin = o.String()
		}
	}
	return con.run(ctx, name, args), nil
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
