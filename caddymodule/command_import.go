package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/authcore/importer"
)

func importCommand() *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "import " + strings.Join(importer.Kinds, "|") + " FILE",
		Short: "Takes over the users, groups and rules of another system",
		Long: `Takes over the users, groups and rules of another system.

Users are added with their groups and, where the hash is of a kind that is known
here, with their passwords. Rules are printed as policies for the Caddyfile, and
nothing is changed there. What cannot be taken over is printed, too. A user who is
there already stays as it is, so that the command can be run again.`,
		Example: "  caddy gate import authelia users_database.yml\n  caddy gate import htpasswd .htpasswd --dry-run",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			res, err := readImport(args[0], args[1])
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if dry || len(res.Users) == 0 {
				tellUsers(out, res.Users)
				tellRest(out, res)
				return nil
			}
			return connected(cmd, false, func(c *connection) error {
				done, err := c.importUsers(res.Users)
				failed := tellImported(out, done)
				tellRest(out, res)
				if err == nil && failed > 0 {
					err = fmt.Errorf("%d of %d users were not added", failed, len(res.Users))
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only print what would be taken over")
	return cmd
}

// readImport reads a file; of caddy-security the rules are in a Caddyfile.
func readImport(kind, name string) (*importer.Result, error) {
	if !slices.Contains(importer.Kinds, kind) {
		return nil, fmt.Errorf("%q is not known here; known are %s", kind, strings.Join(importer.Kinds, ", "))
	}
	if kind == "caddy-security" {
		body, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if !json.Valid(body) {
			options, err := globalOptions(name, body)
			if err != nil {
				return nil, fmt.Errorf("%s is neither the users.json of a local identity store nor a Caddyfile: %w", name, err)
			}
			return importer.CaddySecurity(options), nil
		}
	}
	return importer.ReadFile(kind, name)
}

// globalOptions reads the global options of a Caddyfile.
func globalOptions(name string, body []byte) ([]importer.Directive, error) {
	blocks, err := caddyfile.Parse(name, body)
	if err != nil {
		return nil, err
	}
	var all []importer.Directive
	if len(blocks) == 0 || len(blocks[0].Keys) > 0 {
		return nil, errors.New("it does not begin with global options")
	}
	for _, segment := range blocks[0].Segments {
		d := caddyfile.NewDispenser(segment)
		for d.Next() {
			all = append(all, directive(d))
		}
	}
	return all, nil
}

// directive reads the directive at which a dispenser stands, and its block.
func directive(d *caddyfile.Dispenser) importer.Directive {
	one := importer.Directive{Line: d.Line(), Words: append([]string{d.Val()}, d.RemainingArgs()...)}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		one.Block = append(one.Block, directive(d))
	}
	return one
}

// importBatch is how many users go in one call.
const importBatch = 50

func (c *connection) importUsers(users []importer.User) (done []imported, err error) {
	for batch := range slices.Chunk(users, importBatch) {
		var some []imported
		if err := c.do("user.import", importArgs{batch}, &some); err != nil {
			return done, err
		}
		done = append(done, some...)
	}
	return done, nil
}

// tellUsers prints what would be added.
func tellUsers(out io.Writer, users []importer.User) {
	if len(users) == 0 {
		return
	}
	fmt.Fprintf(out, "Users that would be added: %d.\n", len(users))
	for _, u := range users {
		state := ""
		if u.Hash == "" {
			state = ", without a password"
		}
		if u.Disabled {
			state += ", disabled"
		}
		fmt.Fprintf(out, "  %s %s (%s)%s\n", u.Username, u.Email, strings.Join(u.Groups, ", "), state)
	}
}

// tellImported prints what became of the users, and gives how many were not added.
func tellImported(out io.Writer, done []imported) (failed int) {
	added, there := 0, 0
	for _, u := range done {
		switch {
		case u.There:
			there++
		case u.Error != "":
			failed++
		default:
			added++
		}
	}
	fmt.Fprintf(out, "Users: %d added, %d there already, %d not added.\n", added, there, failed)
	for _, u := range done {
		if u.There {
			fmt.Fprintf(out, "  %s: is there already, and stays as it is\n", u.Username)
		} else if u.Error != "" {
			fmt.Fprintf(out, "  %s: not added: %s\n", u.Username, u.Error)
		}
	}
	return failed
}

// tellRest prints the rules, and what is left.
func tellRest(out io.Writer, res *importer.Result) {
	if len(res.Left) > 0 {
		fmt.Fprintln(out, "\nNot taken over, or not quite the same:")
		for _, l := range res.Left {
			fmt.Fprintln(out, "  "+l)
		}
	}
	if len(res.Policies) == 0 {
		return
	}
	fmt.Fprintln(out, "\nPolicies, for the global option gate of your Caddyfile. Look at each, and try it with: caddy gate explain")
	for _, p := range res.Policies {
		use := "gate " + p.Name
		if p.For != "" {
			use += ", in the site " + p.For
		}
		fmt.Fprintf(out, "\n# %s\n%s", use, p.Text)
	}
}
