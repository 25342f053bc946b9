package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
)

// auditFlags are those of `caddy gate audit`.
type auditFlags struct {
	eventArgs
	since, until string
	json         bool
}

func auditCommand() *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Shows the audit log, or verifies that nobody changed it",
		Long: `Shows the audit log, oldest events first, and with --follow goes on with what
happens from now on. With --json each line is one event: to export the log, write
them to a file.`,
		Example: "  caddy gate audit --since 24h --action user.login --outcome failure\n" +
			"  caddy gate audit --follow --json\n  caddy gate audit --json > audit.jsonl",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.BoolVarP(&f.Follow, "follow", "f", false, "go on with what happens from now on")
	flags.StringVar(&f.Actor, "actor", "", "of this user only: username, email address or id; or user, anonymous, command, system")
	flags.StringVar(&f.Action, "action", "", "this action only, e.g. user.login, or user.*")
	flags.StringVar(&f.Target, "target", "", "what was done to this user only, or to e.g. session:ID")
	flags.StringVar(&f.Outcome, "outcome", "", "success, failure or refused")
	flags.StringVar(&f.since, "since", "", "from this time on: 2026-01-31, 2026-01-31T08:00:00Z, or an age such as 24h or 7d")
	flags.StringVar(&f.until, "until", "", "before this time")
	jsonFlag(cmd, &f.json)
	cmd.AddCommand(auditVerify())
	return cmd
}

func (f *auditFlags) run(cmd *cobra.Command) error {
	var err, err2 error
	f.Since, err = parseTime("since", f.since)
	f.Until, err2 = parseTime("until", f.until)
	if outcome := []string{"", string(authcore.Success), string(authcore.Failure), string(authcore.Refused)}; !slices.Contains(outcome, f.Outcome) {
		err = errors.Join(err, fmt.Errorf("--outcome is success, failure or refused, not %q", f.Outcome))
	}
	if f.Follow && f.until != "" {
		err2 = errors.Join(err2, errors.New("--follow has no end: leave out --until"))
	}
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	f.Latest = f.Follow && f.since == ""
	return connected(cmd, false, func(c *connection) error { return f.print(c, cmd.OutOrStdout(), cmd.ErrOrStderr()) })
}

// parseTime reads a time, or an age.
func parseTime(what, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	age, err := caddy.ParseDuration(s)
	if err != nil || age < 0 {
		return time.Time{}, fmt.Errorf("--%s: %q is neither a time such as 2026-01-31 or 2026-01-31T08:00:00Z nor an age such as 24h or 7d", what, s)
	}
	return time.Now().Add(-age), nil
}

// followEvery is how often --follow asks for more.
const followEvery = 500 * time.Millisecond

// print prints page after page. Who follows the log does so across a restart of
// Caddy or of the database.
func (f *auditFlags) print(c *connection, out, complaints io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	if !f.json {
		fmt.Fprintln(table, "TIME\tACTOR\tACTION\tTARGET\tOUTCOME\tDETAILS\tADDRESS\tDEVICE")
	}
	for begun, away := false, false; ; begun = true {
		var page eventPage
		if err := c.do("audit.list", f.eventArgs, &page); err != nil {
			if !f.Follow || !begun {
				return err
			}
			if !away {
				fmt.Fprintf(complaints, "Waiting: %v\n", err)
			}
			if away = true; !sleep(c.ctx, followEvery) {
				return nil
			}
			continue
		}
		away = false
		f.After, f.Unsealed, f.Latest = page.After, page.Unsealed, false
		if f.json {
			if err := printJSON(out, page.Events); err != nil {
				return err
			}
		}
		for _, e := range page.Events {
			if !f.json {
				fmt.Fprintln(table, strings.Join(e.columns(), "\t"))
			}
		}
		if err := table.Flush(); err != nil {
			return err
		}
		if page.Done && (!f.Follow || !sleep(c.ctx, followEvery)) {
			return nil
		}
	}
}

func (e *eventLine) columns() []string {
	target := e.Target
	if e.TargetName != "" {
		target = "user:" + e.TargetName
	}
	device := ""
	if e.Agent != "" {
		device = authcore.AgentName(e.Agent)
	}
	who := cmp.Or(e.Actor, string(e.ActorID), string(e.ActorKind))
	if e.ActID != "" {
		who += ", by " + cmp.Or(e.Act, string(e.ActID))
	}
	return []string{e.Time.Local().Format(time.DateTime), who, string(e.Action), target,
		string(e.Outcome), e.Details, e.Address, device}
}

func auditVerify() *cobra.Command {
	var expect string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Finds events that were changed, removed or inserted",
		Long: `Follows the chain of the audit log and names each event that was changed or
inserted, and the place of each that was removed. It ends with the number and link
of the newest batch. Note them where nobody who can write to the database can
change them: with --expect NUMBER:LINK a later run finds out whether the newest
events were removed, and everything put back to how it was before.`,
		Example: "  caddy gate audit verify",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return connected(cmd, false, func(c *connection) error { return verifyAll(c, cmd.OutOrStdout(), expect, asJSON) })
		},
	}
	cmd.Flags().StringVar(&expect, "expect", "", "the `NUMBER:LINK` that an earlier run ended with")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// verifyAll follows the whole chain. Where old events are deleted meanwhile it
// begins again.
func verifyAll(c *connection, out io.Writer, expect string, asJSON bool) error {
	noted, err := parseExpect(expect)
	if err != nil {
		return err
	}
	v, met, err := verifyOnce(c, noted)
	if err == nil && len(v.Findings) > 0 {
		var now store.Verified
		if err = c.do("audit.verify", now, &now); err == nil && now.Start != v.Start {
			v, met, err = verifyOnce(c, noted)
		}
	}
	if err != nil {
		return err
	}
	if noted.Number > 0 && noted.Number <= v.Start {
		return fmt.Errorf("batch %d was deleted for its age: note a newer one, such as %d:%s", noted.Number, v.Number, v.Link)
	}
	if noted.Number > 0 && !met {
		v.Findings = append(v.Findings, authcore.Finding{Kind: authcore.ChainBroken, Batch: noted.Number, Text: "batch " + expect +
			" was there and is not, or is another: the log was put back to an older state, or written anew"})
	}
	if asJSON {
		err = printJSON(out, []store.Verified{v})
	} else {
		err = printVerified(out, v)
	}
	if err == nil && len(v.Findings) > 0 {
		err = fmt.Errorf("the audit log is not as it was written: findings: %d", len(v.Findings))
	}
	return err
}

// verifyOnce tells besides whether the chain went through a batch that was noted.
func verifyOnce(c *connection, noted authcore.EventBatch) (v store.Verified, met bool, err error) {
	for !v.Done {
		v.Until = 0
		if v.Number < noted.Number {
			v.Until = noted.Number
		}
		if err := c.do("audit.verify", v, &v); err != nil {
			return v, met, err
		}
		met = met || v.Number == noted.Number && v.Link == noted.Link
	}
	return v, met, nil
}

func parseExpect(s string) (authcore.EventBatch, error) {
	if s == "" {
		return authcore.EventBatch{}, nil
	}
	number, link, ok := strings.Cut(s, ":")
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || n < 1 || len(link) != 64 {
		return authcore.EventBatch{}, fmt.Errorf("--expect: %q is not what an earlier run ended with, NUMBER:LINK", s)
	}
	return authcore.EventBatch{Number: n, Link: link}, nil
}

func printVerified(out io.Writer, v store.Verified) error {
	for _, f := range v.Findings {
		what := strings.ToUpper(string(f.Kind))
		if f.Batch > 0 {
			what += fmt.Sprintf(" in batch %d", f.Batch)
		}
		if f.Event != "" {
			what += ", event " + f.Event
		}
		fmt.Fprintf(out, "%s: %s\n", what, f.Text)
	}
	if len(v.Findings) == 0 {
		fmt.Fprintln(out, "The audit log is as it was written.")
	}
	fmt.Fprintf(out, "%d events in batches %d to %d", v.Events, v.Start+1, v.Number)
	if v.Deleted > 0 {
		fmt.Fprintf(out, "; %d older ones were deleted for their age", v.Deleted)
	}
	if v.Anonymous > 0 {
		fmt.Fprintf(out, "; %d were made anonymous", v.Anonymous)
	}
	if v.Unsealed > 0 {
		fmt.Fprintf(out, "; %d more are not sealed yet", v.Unsealed)
	}
	if v.Unchained > 0 {
		fmt.Fprintf(out, "; %d more are from before events were sealed, and nothing protects them", v.Unchained)
	}
	_, err := fmt.Fprintf(out, ".\nNote elsewhere: %d:%s\n", v.Number, v.Link)
	return err
}
