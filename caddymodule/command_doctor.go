package caddymodule

import (
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func doctorCommand() *cobra.Command {
	var asJSON bool
	var mailTo string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Checks configuration, database, clock, mail and files",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := onlyHere(cmd); err != nil {
				return err
			}
			found := diagnose(cmd, mailTo)
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), found); err != nil {
					return err
				}
			} else {
				out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
				for _, f := range found {
					fmt.Fprintf(out, "%s\t%s\t%s\n", f.State, f.Check, f.Text)
				}
				if err := out.Flush(); err != nil {
					return err
				}
			}
			for _, f := range found {
				if f.State == "error" {
					return errors.New("something is wrong, see above")
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&mailTo, "mail", "", "send a test message to this address")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// diagnose gathers all findings; what cannot be looked at is one itself.
func diagnose(cmd *cobra.Command, mailTo string) []finding {
	t, err := readTarget(cmd)
	if err != nil {
		return []finding{wrong("configuration", "%v", err)}
	}
	found := append(examineSettings(t.values), t.examineSites(cmd.Context())...)
	found = append(found, t.values.mail.examine(cmd.Context(), mailTo, t.values.portalText()))
	if path := t.values.database.Path; path != "" {
		found = append(found, examineFiles(path)...)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return append(found, warn("database", "%s is not there yet; Caddy makes it when it starts", path))
		}
	}
	c, err := t.connect(cmd.Context(), false)
	if empty := (emptyError{}); errors.As(err, &empty) {
		return append(found, warn("database", "%s is empty; Caddy, or caddy gate copy, makes its tables", empty.database))
	}
	if err != nil {
		return append(found, wrong("database", "%v", err))
	}
	defer c.close()
	if c.local == nil {
		found = append(found, fine("server", "runs on this database"))
	} else {
		found = append(found, fine("server", "none answers on the admin endpoint; looking at the database itself"))
	}
	var inside []finding
	if err := c.do("doctor", struct{}{}, &inside); err != nil {
		return append(found, wrong("database", "%v", err))
	}
	return append(found, inside...)
}
