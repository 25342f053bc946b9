package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
		Short: "Manages users, sessions, the audit log and the database of the gate",
		Long: `Manages users, sessions, the audit log and the database of the gate.

Works whether or not a server runs: through Caddy's admin endpoint where one runs
with this configuration, else on the database itself. With --at URL, some commands work
on an installation elsewhere, after "caddy gate login URL".`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.PersistentFlags().StringP("config", "c", "Caddyfile", "the Caddyfile (or JSON configuration) of the server")
			cmd.PersistentFlags().String("at", "", "work on the installation at this `URL`, that you are signed in to; or "+atVariable+" in the environment")
			cmd.MarkFlagsMutuallyExclusive("config", "at")
			cmd.SilenceUsage = true
			parent(cmd, userCommand(), organizationCommand(), webhookCommand(), importCommand(), sessionCommand(), tokenCommand(), keyCommand(), auditCommand(), explainCommand(), backupCommand(), restoreCommand(), copyCommand(), doctorCommand(),
				loginCommand(), logoutCommand(), apiCommand())
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
	config   []byte // all of it, as Caddy's JSON
	settings Settings
	values   values
	admin    string // address of the admin endpoint; empty where it is off
}

// commandTime bounds one operation of a command on a database.
const commandTime = 30 * time.Second

// readTarget reads the configuration that --config names.
func readTarget(cmd *cobra.Command) (*target, error) {
	if err := onlyHere(cmd); err != nil {
		return nil, err
	}
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
	t := &target{config: raw, admin: caddy.DefaultAdminListen}
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
	t.values, err = t.settings.resolve(expandHere)
	return t, err
}

// expandHere expands placeholders for a command, which may run where the server's
// environment is not.
func expandHere(s string) (string, error) {
	out, err := expander()(s)
	if err != nil {
		err = fmt.Errorf("%w; commands need the same environment as the service, and must be able to read the same files", err)
	}
	return out, err
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
