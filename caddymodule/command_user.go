package caddymodule

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func userCommand() *cobra.Command {
	return parent(&cobra.Command{Use: "user", Short: "Adds, lists and changes users"},
		userAdd(), userList(), userShow(), userUnlink(), userPassword(), userGroup(), userEmail(), userResetFactor(), userRequireFactor(), userAdmit(), userDelete(), userOwner(), userInvite(), userRecover(),
		userStatus("disable", authcore.Disabled, "Disables a user and ends the sessions"),
		userStatus("enable", authcore.Active, "Enables a user that was disabled"))
}

func userAdd() *cobra.Command {
	var a addUserArgs
	var stdin, none bool
	cmd := &cobra.Command{
		Use:     "add NAME",
		Short:   "Adds a user",
		Example: "  caddy gate user add alice --email alice@example.com --owner --password-stdin < password.txt",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			a.Username = args[0]
			if none && (stdin || a.Owner) {
				return errors.New("--no-password is for users of access tokens alone; an owner has a password")
			}
			if !none {
				if a.Password, err = readPassword(cmd, stdin); err != nil {
					return err
				}
			}
			return once(cmd, a.Owner, "user.add", a, func(u userLine) string {
				if u.Owner {
					return "Added platform owner " + u.Username + "."
				}
				return "Added user " + u.Username + "."
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&a.Email, "email", "", "email address")
	f.StringVar(&a.Name, "name", "", "name to show")
	f.StringArrayVar(&a.Groups, "group", nil, "a group; may be given several times")
	f.BoolVar(&a.Owner, "owner", false, "make a platform owner")
	f.BoolVar(&none, "no-password", false, "nobody can sign in: for a machine that has access tokens")
	passwordFlag(cmd, &stdin)
	return cmd
}

func passwordFlag(cmd *cobra.Command, stdin *bool) {
	cmd.Flags().BoolVar(stdin, "password-stdin", false, "read the password from standard input")
}

// readPassword takes the password from standard input, or asks for it twice
// where somebody sits at a terminal.
func readPassword(cmd *cobra.Command, stdin bool) (string, error) {
	if stdin {
		line, err := bufio.NewReader(io.LimitReader(cmd.InOrStdin(), 8192)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return "", errors.New("there is no password on standard input")
		}
		return line, nil
	}
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return "", errors.New("give the password on standard input, with --password-stdin")
	}
	ask := func(prompt string) (string, error) {
		fmt.Fprint(cmd.ErrOrStderr(), prompt)
		text, err := term.ReadPassword(fd)
		fmt.Fprintln(cmd.ErrOrStderr())
		return string(text), err
	}
	first, err := ask("Password: ")
	if err != nil {
		return "", err
	}
	second, err := ask("Password again: ")
	if err == nil && first != second {
		err = errors.New("the two passwords are not the same")
	}
	return first, err
}

func userList() *cobra.Command {
	a := pageArgs{Limit: pageSize}
	next := func(c *connection) (page []userLine, err error) {
		if err = c.do("user.list", a, &page); len(page) > 0 {
			a.After = authcore.UsernameKey(page[len(page)-1].Username)
		}
		return page, err
	}
	return listing("Lists the users", "USERNAME\tEMAIL\tNAME\tSTATUS\tOWNER\tORG ONLY\tGROUPS", next, func(u userLine) []string {
		return []string{u.Username, u.Email, u.Name, string(u.Status), yes(u.Owner), yes(u.OrgOnly), strings.Join(u.Groups, ",")}
	})
}

func userShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Shows a user, the second factor and the linked accounts at providers",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return connected(cmd, false, func(c *connection) error {
				var u userDetails
				if err := c.do("user.show", userArgs{User: args[0]}, &u); err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), []userDetails{u})
				}
				return u.print(cmd.OutOrStdout())
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (u userDetails) print(w io.Writer) error {
	email, factor := u.Email, "none"
	if email != "" && !u.Verified {
		email += " (not verified)"
	}
	if u.Factor != nil {
		factor = fmt.Sprintf("app since %s, %d recovery codes left", u.Factor.Created.Format(time.DateOnly), u.RecoveryCodes)
	}
	if u.Required {
		factor += " (required)"
	}
	status := string(u.Status)
	if u.DeleteAt != nil {
		status += ", to be deleted on " + u.DeleteAt.Format(time.DateOnly)
	}
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, row := range [][2]string{{"Username", u.Username}, {"Name", u.Name}, {"Email", email}, {"Status", status}, {"Owner", cmp.Or(yes(u.Owner), "no")},
		{"Organization only", cmp.Or(yes(u.OrgOnly), "no")},
		{"Groups", strings.Join(u.Groups, ", ")}, {"Since", u.Created.Format(time.DateOnly)}, {"Password", cmp.Or(yes(u.Password), "no")}, {"Passkeys", strconv.Itoa(u.Passkeys)}, {"Second factor", factor}} {
		fmt.Fprintf(table, "%s:\t%s\n", row[0], cmp.Or(row[1], "-"))
	}
	if len(u.Identities) == 0 {
		fmt.Fprintln(table, "Linked accounts:\tnone")
		return table.Flush()
	}
	fmt.Fprintln(table, "Linked accounts:")
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(table, "  PROVIDER\tACCOUNT\tLINKED\tLAST USED\tID")
	for _, i := range u.Identities {
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\n", i.Provider, cmp.Or(i.Username, i.Email, i.Subject), i.Linked.Format(time.DateOnly), i.Used.Format(time.DateOnly), i.ID)
	}
	return table.Flush()
}

func userUnlink() *cobra.Command {
	return &cobra.Command{
		Use:   "unlink NAME ID",
		Short: "Unlinks an account at a provider from a user, by the ID that \"user show\" gives",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return change(cmd, "user.unlink", userArgs{User: args[0], Identity: authcore.IdentityID(args[1])}, "The account was unlinked from %s, and the sessions that began with it have ended.")
		},
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func userStatus(word string, status authcore.Status, short string) *cobra.Command {
	return &cobra.Command{
		Use:   word + " NAME",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return change(cmd, "user.status", userArgs{User: args[0], Status: status}, "User %s is "+string(status)+" now.")
		},
	}
}

// change carries out an operation on one user and says so, with the username for
// the %s in it.
func change(cmd *cobra.Command, name string, a userArgs, said string) error {
	return once(cmd, false, name, a, func(u userLine) string { return fmt.Sprintf(said, u.Username) })
}

func userPassword() *cobra.Command {
	var stdin bool
	cmd := &cobra.Command{
		Use:   "password NAME",
		Short: "Sets a new password and ends the user's sessions",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pw, err := readPassword(cmd, stdin)
			if err != nil {
				return err
			}
			return change(cmd, "user.password", userArgs{User: args[0], Password: pw}, "The password of %s was changed.")
		},
	}
	passwordFlag(cmd, &stdin)
	return cmd
}

func userGroup() *cobra.Command {
	var a userArgs
	cmd := &cobra.Command{
		Use:     "group NAME",
		Short:   "Puts a user into groups, or takes the user out",
		Example: "  caddy gate user group alice --add staff --remove interns",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(a.Add)+len(a.Remove) == 0 {
				return errors.New("say which groups, with --add GROUP or --remove GROUP")
			}
			a.User = args[0]
			return once(cmd, false, "user.groups", a, func(u userLine) string {
				return fmt.Sprintf("User %s is in: %s.", u.Username, cmp.Or(strings.Join(u.Groups, ", "), "no group"))
			})
		},
	}
	cmd.Flags().StringArrayVar(&a.Add, "add", nil, "a group; may be given several times")
	cmd.Flags().StringArrayVar(&a.Remove, "remove", nil, "a group; may be given several times")
	return cmd
}

func userEmail() *cobra.Command {
	return &cobra.Command{
		Use:   "email NAME ADDRESS",
		Short: "Gives a user an email address that counts as verified",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return change(cmd, "user.email", userArgs{User: args[0], Email: args[1]}, "The email address of %s was changed.")
		},
	}
}

func userResetFactor() *cobra.Command {
	return &cobra.Command{
		Use:   "reset-factor NAME",
		Short: "Takes the second factor from a user who has lost it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return change(cmd, "user.factor", userArgs{User: args[0]}, "User %s has no second factor any more, and can set up a new one.")
		},
	}
}

func userRequireFactor() *cobra.Command {
	var off bool
	cmd := &cobra.Command{
		Use:   "require-factor NAME",
		Short: "Requires a second factor of a user for everything; --off lifts that",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			said := "User %s needs a second factor from now on."
			if off {
				said = "User %s needs a second factor only where a policy asks for one."
			}
			return change(cmd, "user.require", userArgs{User: args[0], Required: !off}, said)
		},
	}
	cmd.Flags().BoolVar(&off, "off", false, "leave it to the policies again")
	return cmd
}

func userAdmit() *cobra.Command {
	var only bool
	cmd := &cobra.Command{
		Use:   "admit NAME",
		Short: "Lets a user who belongs to an organization only into the installation; --organization-only takes that back",
		Long: `Lets a user who came by the invitation of an organization into the installation: every
rule of a policy counts for the user then, and a gate without a policy opens. With
--organization-only, rules let the user in that name an organization of the user's, and no
other ones.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			said := "User %s belongs to the installation now."
			if only {
				said = "User %s belongs to organizations only now."
			}
			return change(cmd, "user.admit", userArgs{User: args[0], OrgOnly: only}, said)
		},
	}
	cmd.Flags().BoolVar(&only, "organization-only", false, "rules let the user in that name an organization of the user's only")
	return cmd
}

func userDelete() *cobra.Command {
	var after string
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Deletes a user and all that is the user's, now or after some time",
		Long: `Deletes a user, with sessions, tokens, passkeys and all else. In the audit log, the
events of the user stay without what is personal. With --after the user is disabled
until then, and "caddy gate user enable NAME" brings the account back.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, said := userArgs{User: args[0]}, "User %s is deleted."
			if after != "" {
				d, err := caddy.ParseDuration(after)
				if err != nil || d <= 0 {
					return fmt.Errorf("--after takes a duration such as 30d, not %q", after)
				}
				a.After, said = d, "User %s is disabled, and will be deleted in "+after+"."
			}
			return change(cmd, "user.delete", a, said)
		},
	}
	cmd.Flags().StringVar(&after, "after", "", "delete it only then, e.g. 30d")
	return cmd
}

func userOwner() *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use:   "owner NAME",
		Short: "Makes a user a platform owner, or takes that away",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			said := "User %s is a platform owner now."
			if remove {
				said = "User %s is no platform owner any more."
			}
			return change(cmd, "user.owner", userArgs{User: args[0], Owner: !remove}, said)
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "take it away")
	return cmd
}

func userInvite() *cobra.Command {
	valid, to := "7d", ""
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Makes a link with which one person may register (register invite), or sign in with a provider (new_users invite)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := caddy.ParseDuration(valid)
			if err != nil {
				return fmt.Errorf("%q is not a duration such as 12h or 7d", valid)
			}
			return once(cmd, false, "user.invite", inviteArgs{Valid: d, Mail: to}, func(made map[string]string) string {
				if to != "" {
					return fmt.Sprintf("An invitation is on its way to %s, good for one account until %s.", to, time.Now().Add(d).Format(time.RFC1123))
				}
				return fmt.Sprintf("%s\n%sGood for one account until %s.", made["link"], howToUse(made["link"]), time.Now().Add(d).Format(time.RFC1123))
			})
		},
	}
	cmd.Flags().StringVar(&valid, "valid", valid, "how long the link is good")
	cmd.Flags().StringVar(&to, "mail", "", "send the link to this address, which it verifies")
	return cmd
}

// howToUse says what is missing of a link: where the pages are is known to a server, or
// from a portal.
func howToUse(link string) string {
	if !strings.HasPrefix(link, "/") {
		return ""
	}
	return "Put a host of yours that has gate before it, e.g. https://app.example.com.\n"
}

func userRecover() *cobra.Command {
	return &cobra.Command{
		Use:   "recover NAME",
		Short: "Makes a link with which a user can choose a new password",
		Long: `Makes a link with which a user can choose a new password, once, within an hour. It
needs no mail: give it to the user in a way that you trust. Sessions end, second
factors stay.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return once(cmd, false, "user.recover", userArgs{User: args[0]}, func(made map[string]string) string {
				return fmt.Sprintf("%s\n%sGood once, until %s.", made["link"], howToUse(made["link"]), made["until"])
			})
		},
	}
}
