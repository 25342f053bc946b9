package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
)

func backupCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Writes the SQLite database into a new file, also while Caddy runs",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := readTarget(cmd)
			if err != nil {
				return err
			}
			if dir := filepath.Dir(args[0]); t.values.database.Driver == store.SQLite {
				if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
					return fmt.Errorf("the folder %s does not exist", dir)
				}
			}
			if err := store.Backup(cmd.Context(), t.values.database, args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Wrote %s.\n%s\n", args[0], keepKey(t))
			return err
		},
	}
}

// keepKey says where the secret key is, without which a backup is of little use.
func keepKey(t *target) string {
	where := "which the configuration names"
	if t.values.secretKey == "" {
		where = "in " + keyFile(t.values.database)
	}
	return "The secret key (" + where + ") is not part of it: keep a copy of that apart."
}

func restoreCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: "Makes a backup the SQLite database; Caddy must be stopped",
		Long: `Makes a backup the SQLite database; Caddy must be stopped.

The database that is there now is kept beside it. Everybody has to sign in again:
the sessions in the backup may have been revoked since.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := readTarget(cmd)
			if err != nil {
				return err
			}
			if err := t.mayRestore(cmd.Context(), args[0]); err != nil {
				return err
			}
			kept, err := store.Restore(cmd.Context(), t.values.database, args[0], time.Now())
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "Restored %s from %s. Everybody has to sign in again.\n", t.values.database.Path, args[0])
			if kept != "" {
				fmt.Fprintf(out, "What was there before is in %s.\n", kept)
			}
			return nil
		},
	}
}

// mayRestore makes sure that no server runs on the database, that the server
// will be able to read it, and that the backup's secret key is there.
func (t *target) mayRestore(ctx context.Context, file string) error {
	if t.values.database.Driver != store.SQLite {
		return nil // Restore says what to do instead
	}
	if t.admin != "" && listens(t.admin) {
		if _, found, err := ask(t.admin, call{Database: t.values.database.Key()}); err != nil || found {
			return errors.Join(err, errors.New("stop Caddy first: it runs on this database"))
		}
	}
	if err := mayCreate(t.values.database.Path); err != nil {
		return err
	}
	id, err := store.KeyOf(ctx, file)
	if err != nil || id == "" {
		return err
	}
	key, err := loadKey(t.values.database, t.values.secretKey, true)
	if err != nil {
		return err
	}
	if key.ID() != id {
		return fmt.Errorf("%s was made with another secret key: put that key into %s first, or name it with \"secret_key\"", file, keyFile(t.values.database))
	}
	return nil
}

func copyCommand() *cobra.Command {
	var a copyArgs
	cmd := &cobra.Command{
		Use:   "copy --to DATABASE [--from DATABASE]",
		Short: "Copies everything into a new database of any kind",
		Long: `Copies everything into a new database of any kind, and reads it back to compare.

A database is written as in the Caddyfile, e.g. 'postgres {file./run/secrets/gate.dsn}'
or 'sqlite gate.db', or sqlite:FILE, postgres://user:password@host:5432/database or
mysql://user:password@host:3306/database; {env.X} and {file.X} keep passwords out
of the list of processes. Without --from it is the one of the configuration.
Stop Caddy before: what changes meanwhile stays behind.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.run(cmd) },
	}
	cmd.Flags().StringVar(&a.from, "from", "", "the database to read")
	cmd.Flags().StringVar(&a.to, "to", "", "the database to fill, new and empty")
	cmd.Flags().BoolVar(&a.withoutSessions, "without-sessions", false, "leave sessions behind: everybody signs in again")
	return cmd
}

type copyArgs struct {
	from, to        string
	withoutSessions bool
}

func (a copyArgs) run(cmd *cobra.Command) error {
	if a.to == "" {
		return fmt.Errorf("--to is missing: %s", databaseForms)
	}
	t, err := readTarget(cmd)
	if err != nil && a.from == "" {
		return err
	}
	var source store.Config
	if a.from == "" {
		source = t.values.database
	} else if source, err = databaseOf("--from", a.from); err != nil {
		return err
	}
	target, err := databaseOf("--to", a.to)
	if err != nil {
		return err
	}
	if t != nil && t.runsOn(source) {
		fmt.Fprintln(cmd.ErrOrStderr(), "Caddy runs on the source: what changes from now on stays behind.")
	}
	return a.copy(cmd, source, target)
}

// runsOn tells whether the server of the configuration runs on a database.
func (t *target) runsOn(c store.Config) bool {
	if t.admin == "" || !listens(t.admin) {
		return false
	}
	_, found, err := ask(t.admin, call{Database: c.Key()})
	return err == nil && found
}

const databaseForms = "name a database as in the Caddyfile, e.g. 'postgres {file./run/secrets/gate.dsn}' or 'sqlite gate.db', " +
	"or as sqlite:FILE, postgres://user:password@host:5432/database or mysql://user:password@host:3306/database"

// databaseOf reads a database that a flag names, as the Caddyfile does or in one
// word. A placeholder may stand for a part of it, or for all.
func databaseOf(flag, text string) (store.Config, error) {
	text, err := expandHere(text)
	if err != nil {
		return store.Config{}, fmt.Errorf("%s: %w", flag, err)
	}
	kind, place, _ := strings.Cut(strings.TrimSpace(text), " ")
	c := store.Config{Driver: kind}
	switch place = strings.TrimSpace(place); {
	case kind == store.SQLite:
		c.Path = place
		err = c.Validate()
	case kind == store.Postgres || kind == store.MySQL:
		c.DSN = authcore.Secret(place)
		err = c.Validate()
	default:
		if c, err = store.ParseConfig(strings.TrimSpace(text)); err != nil && c.Driver == "" {
			err = errors.New(databaseForms)
		}
	}
	if err != nil {
		return c, fmt.Errorf("%s: %w", flag, err)
	}
	c.Wait = store.DefaultWait // as in a configuration that does not say, so that their keys are the same
	return c, nil
}

func (a copyArgs) copy(cmd *cobra.Command, source, target store.Config) error {
	ctx := cmd.Context()
	if source.Driver == store.SQLite {
		if _, err := os.Stat(source.Path); err != nil {
			return err
		}
	} else if made, err := store.Made(ctx, source); err != nil {
		return err
	} else if !made {
		return fmt.Errorf("database %s is empty: there is nothing to copy", source)
	}
	if target.Driver == store.SQLite {
		if err := mayCreate(target.Path); err != nil {
			return err
		}
	}
	from, err := openPatient(ctx, source)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := openPatient(ctx, target)
	if err != nil {
		return err
	}
	out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
	fmt.Fprintln(out, "TABLE\tROWS\tCHECKSUM")
	err = store.Copy(ctx, from, to, store.CopyOptions{WithoutSessions: a.withoutSessions, Report: func(c store.Copied) {
		fmt.Fprintf(out, "%s\t%d\t%s\n", c.Table, c.Rows, c.Checksum)
	}})
	if err = errors.Join(err, to.Close()); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	where := "name it with secret_key"
	if target.Driver == store.SQLite {
		where = "put the key into " + keyFile(target)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "Copied to %s, and compared. It belongs to the same secret key: %s.\n", target, where)
	return err
}

// openPatient opens a database for work that may take long.
func openPatient(ctx context.Context, c store.Config) (*store.DB, error) {
	c.Wait = time.Minute
	return store.Open(ctx, c)
}
