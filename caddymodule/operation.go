package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/web"
	"github.com/gatehouse-auth/gatehouse/store"
)

// console is what the command line acts on: the services of a running server, or
// of a database that was opened for one command.
type console struct {
	accounts *authcore.Accounts
	db       *store.DB
	keys     *authcore.Keys
	origin   string // of the pages; empty where no server runs
	explain  func(web.Question) (web.Explanation, error)
}

// operation is what a command does, wherever it runs. Arguments and answer are
// JSON, because the way to a running server is its admin endpoint.
type operation func(ctx context.Context, c *console, args json.RawMessage) (any, error)

// operations holds them by name.
var operations = map[string]operation{
	"user.add":           with(addUser),
	"user.import":        with(importUsers),
	"user.list":          with(listUsers),
	"user.show":          with(showUser),
	"user.unlink":        with(unlinkUser),
	"user.status":        with(setStatus),
	"user.password":      with(setPassword),
	"user.owner":         with(setOwner),
	"user.groups":        with(setGroups),
	"user.email":         with(setEmail),
	"user.factor":        with(removeFactor),
	"user.admit":         with(admitUser),
	"user.require":       with(requireFactor),
	"user.delete":        with(deleteUser),
	"user.invite":        with(invite),
	"user.recover":       with(recoverUser),
	"org.add":            with(addOrganization),
	"org.list":           with(listOrganizations),
	"org.show":           withOrganization(func(context.Context, *console, authcore.Organization, organizationArgs) error { return nil }),
	"org.step":           withOrganization(stepOrganization),
	"org.tier":           withOrganization(setTier),
	"org.require":        withOrganization(requireMembersFactor),
	"org.delete":         withOrganization(deleteOrganization),
	"org.members":        with(listMembers),
	"org.member":         withOrganization(setMember),
	"org.expel":          withOrganization(removeMember),
	"org.roles":          with(listRoles),
	"org.role.add":       withOrganization(addRole),
	"org.role.delete":    withOrganization(deleteRole),
	"org.invite":         with(inviteMember),
	"org.invitations":    with(listInvitations),
	"session.list":       with(listSessions),
	"session.revoke":     with(revokeSessions),
	"token.add":          with(addToken),
	"token.list":         with(listTokens),
	"token.revoke":       with(revokeTokens),
	"key.list":           with(listKeys),
	"key.rotate":         with(rotateKeys),
	"audit.list":         with(listEvents),
	"audit.verify":       with(verifyEvents),
	"explain":            with(explain),
	"doctor":             with(examine),
	"webhook.add":        with(addWebhook),
	"webhook.list":       with(listWebhooks),
	"webhook.set":        with(setWebhook),
	"webhook.rotate":     with(rotateWebhook),
	"webhook.test":       with(testWebhook),
	"webhook.delete":     with(deleteWebhook),
	"webhook.deliveries": with(listDeliveries),
	"webhook.resend":     with(resendDelivery),
}

// with reads the arguments of an operation.
func with[A any](f func(context.Context, *console, A) (any, error)) operation {
	return func(ctx context.Context, c *console, raw json.RawMessage) (any, error) {
		var args A
		if err := json.Unmarshal(raw, &args); err != nil {
			return nil, fmt.Errorf("arguments: %w", err)
		}
		return f(ctx, c, args)
	}
}

type addUserArgs struct {
	Username, Email, Name, Password string
	Groups                          []string
	Owner                           bool
}

// userLine is a user as the command line shows it.
type userLine struct {
	ID       authcore.UserID `json:"id"`
	Username string          `json:"username"`
	Email    string          `json:"email"`
	Name     string          `json:"name"`
	Status   authcore.Status `json:"status"`
	Owner    bool            `json:"owner"`
	Groups   []string        `json:"groups"`
	Created  time.Time       `json:"created_at"`
	DeleteAt *time.Time      `json:"delete_at,omitempty"` // where the account is to be deleted
	Required bool            `json:"second_factor_required"`
	OrgOnly  bool            `json:"organization_only"`
}

func lineOf(u authcore.User) userLine {
	l := userLine{ID: u.ID, Username: u.Username, Email: u.Email, Name: u.Name, Status: u.Status, Owner: u.Owner,
		Groups: append([]string{}, u.Groups...), Created: u.CreatedAt, Required: u.FactorRequired, OrgOnly: u.OrganizationOnly}
	if !u.DeleteAt.IsZero() {
		l.DeleteAt = &u.DeleteAt
	}
	return l
}

func addUser(ctx context.Context, c *console, a addUserArgs) (any, error) {
	u, err := c.accounts.CreateUser(ctx, authcore.CommandLine(), authcore.NewUser{Username: a.Username, Email: a.Email, Name: a.Name,
		Password: authcore.Secret(a.Password), Groups: a.Groups, Owner: a.Owner, EmailVerified: true})
	return lineOf(u), err
}

type pageArgs struct {
	After string
	Limit int
}

func listUsers(ctx context.Context, c *console, a pageArgs) (any, error) {
	users, err := c.db.Users(ctx, a.After, a.Limit)
	lines := make([]userLine, 0, len(users))
	for _, u := range users {
		lines = append(lines, lineOf(u))
	}
	return lines, err
}

// userDetails is what else the command line shows of one user.
type userDetails struct {
	userLine
	Verified      bool           `json:"email_verified"`
	Factor        *factorLine    `json:"second_factor"`
	RecoveryCodes int            `json:"recovery_codes"`
	Passkeys      int            `json:"passkeys"`
	Password      bool           `json:"password"`
	Identities    []identityLine `json:"identities"`
}

type factorLine struct {
	Kind    string    `json:"kind"`
	Created time.Time `json:"created_at"`
}

// identityLine is a linked account at a provider.
type identityLine struct {
	ID       authcore.IdentityID `json:"id"`
	Provider string              `json:"provider"`
	Issuer   string              `json:"issuer"`
	Subject  string              `json:"subject"`
	Username string              `json:"username"`
	Email    string              `json:"email"`
	Linked   time.Time           `json:"linked_at"`
	Used     time.Time           `json:"last_used_at"`
}

func showUser(ctx context.Context, c *console, a userArgs) (any, error) {
	u, err := c.accounts.FindUser(ctx, a.User)
	if err != nil {
		return nil, err
	}
	d := userDetails{userLine: lineOf(u), Verified: u.EmailVerified, Identities: []identityLine{}}
	factors, err := c.accounts.Factors(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	d.Passkeys = factors.Passkeys
	if d.Password, err = c.accounts.HasPassword(ctx, u.ID); err != nil {
		return nil, err
	}
	if factors.TOTP != nil {
		d.Factor, d.RecoveryCodes = &factorLine{"totp", factors.TOTP.CreatedAt}, factors.Codes
	}
	linked, err := c.accounts.Identities(ctx, u.ID)
	for _, i := range linked {
		d.Identities = append(d.Identities, identityLine{i.ID, i.Provider, i.Issuer, i.Subject, i.Username, i.Email, i.CreatedAt, i.UsedAt})
	}
	return d, err
}

func unlinkUser(ctx context.Context, c *console, a userArgs) (any, error) {
	u, err := c.accounts.FindUser(ctx, a.User)
	if err == nil {
		err = c.accounts.Unlink(ctx, authcore.CommandLine(), u.ID, a.Identity)
	}
	if errors.Is(err, authcore.ErrIdentityNotFound) {
		err = fmt.Errorf("no account with the ID %q is linked to %s; list them with: caddy gate user show %s", a.Identity, u.Username, u.Username)
	}
	return lineOf(u), err
}

type userArgs struct {
	Identity       authcore.IdentityID
	User, Password string
	Email          string
	Add, Remove    []string // groups
	Status         authcore.Status
	Owner          bool
	Required       bool // a second factor
	OrgOnly        bool // belongs to organizations only
	After          time.Duration
}

// on finds the user that an operation is about.
func on(f func(context.Context, *console, authcore.User, userArgs) error) func(context.Context, *console, userArgs) (any, error) {
	return func(ctx context.Context, c *console, a userArgs) (any, error) {
		u, err := c.accounts.FindUser(ctx, a.User)
		if err == nil {
			err = f(ctx, c, u, a)
		}
		if err != nil {
			return nil, err
		}
		u, _, err = c.db.UserByID(ctx, u.ID) // it may have another address by now
		return lineOf(u), err
	}
}

var (
	setStatus = on(func(ctx context.Context, c *console, u authcore.User, a userArgs) error {
		return c.accounts.SetStatus(ctx, authcore.CommandLine(), u.ID, a.Status)
	})
	setPassword = on(func(ctx context.Context, c *console, u authcore.User, a userArgs) error {
		return c.accounts.SetPassword(ctx, authcore.CommandLine(), u.ID, authcore.Secret(a.Password))
	})
	setEmail = on(func(ctx context.Context, c *console, u authcore.User, a userArgs) error {
		return c.accounts.SetEmail(ctx, authcore.CommandLine(), u.ID, a.Email)
	})
	setGroups = on(func(ctx context.Context, c *console, u authcore.User, a userArgs) error {
		for _, g := range a.Remove {
			if !slices.Contains(u.Groups, g) {
				return fmt.Errorf("%s is not in the group %s", u.Username, g)
			}
		}
		return c.accounts.ChangeGroups(ctx, authcore.CommandLine(), u.ID, a.Add, a.Remove)
	})
	removeFactor = on(func(ctx context.Context, c *console, u authcore.User, _ userArgs) error {
		return c.accounts.RemoveFactors(ctx, authcore.CommandLine(), u.ID)
	})
	setOwner = on(func(ctx context.Context, c *console, u authcore.User, a userArgs) error {
		return c.accounts.SetOwner(ctx, authcore.CommandLine(), u.ID, a.Owner)
	})
)

type inviteArgs struct {
	Valid time.Duration
	Mail  string // to be sent to; empty: the link is printed
}

func invite(ctx context.Context, c *console, a inviteArgs) (any, error) {
	if a.Valid <= 0 || a.Valid > 90*24*time.Hour {
		return nil, errors.New("an invitation is good for up to 90 days")
	}
	if a.Mail != "" {
		if c.origin == "" {
			return nil, errors.New("where the link leads is known to a server that runs, or with a portal: start Caddy first")
		}
		return map[string]string{"mail": a.Mail}, c.accounts.InviteByMail(ctx, authcore.CommandLine(), a.Mail, c.origin, a.Valid)
	}
	token, err := c.accounts.Invite(ctx, authcore.CommandLine(), a.Valid)
	if err != nil {
		return nil, err
	}
	path := web.Prefix + "register?invite=" + token.Reveal()
	return map[string]string{"link": c.origin + path}, nil
}

// recoverUser makes a link to choose a new password, for whoever the operator gives it.
func recoverUser(ctx context.Context, c *console, a userArgs) (any, error) {
	u, err := c.accounts.FindUser(ctx, a.User)
	if err != nil {
		return nil, err
	}
	link, until, err := c.accounts.RecoverUser(ctx, authcore.CommandLine(), u.ID, c.origin)
	return map[string]string{"link": link.Reveal(), "until": until.Format(time.RFC1123)}, err
}

type sessionArgs struct {
	User, ID, After string
	All             bool
}

// sessionLine is a session as the command line shows it.
type sessionLine struct {
	ID       authcore.SessionID `json:"id"`
	User     string             `json:"username"`
	Host     string             `json:"host"`
	Device   string             `json:"device"`
	Address  string             `json:"address"`
	Created  time.Time          `json:"created_at"`
	LastSeen time.Time          `json:"last_seen_at"`
	Expires  time.Time          `json:"expires_at"`
}

// listSessions lists portal sessions: those that can be revoked.
func listSessions(ctx context.Context, c *console, a sessionArgs) (any, error) {
	var only authcore.UserID
	if a.User != "" {
		u, err := c.accounts.FindUser(ctx, a.User)
		if err != nil {
			return nil, err
		}
		only = u.ID
	}
	now := c.accounts.Now()
	found, err := c.db.RootSessions(ctx, only, a.After, now, now.Add(-c.accounts.Lifetime.Idle), pageSize)
	lines := make([]sessionLine, 0, len(found))
	for _, s := range found {
		lines = append(lines, sessionLine{ID: s.ID, User: s.Username, Host: s.Host, Device: authcore.AgentName(s.Agent), Address: s.Address,
			Created: s.CreatedAt, LastSeen: s.LastSeen, Expires: s.ExpiresAt})
	}
	return lines, err
}

// pageSize is how many rows a listing takes at a time.
const pageSize = 500

func revokeSessions(ctx context.Context, c *console, a sessionArgs) (any, error) {
	if a.All {
		n, err := c.accounts.RevokeEverything(ctx, authcore.CommandLine())
		return map[string]int{"revoked": n}, err
	}
	if a.User == "" {
		return map[string]int{"revoked": 1}, c.accounts.Revoke(ctx, authcore.CommandLine(), authcore.SessionID(a.ID))
	}
	u, err := c.accounts.FindUser(ctx, a.User)
	if err != nil {
		return nil, err
	}
	n, err := c.accounts.RevokeAll(ctx, authcore.CommandLine(), u.ID)
	return map[string]int{"revoked": n}, err
}

// requireFactor says whether a user needs a second factor for everything.
func requireFactor(ctx context.Context, c *console, a userArgs) (any, error) {
	u, err := c.accounts.FindUser(ctx, a.User)
	if err != nil {
		return nil, err
	}
	err = c.accounts.SetFactorRequired(ctx, authcore.CommandLine(), u.ID, a.Required)
	u.FactorRequired = a.Required
	return lineOf(u), err
}

// admitUser says whether a user belongs to organizations only.
func admitUser(ctx context.Context, c *console, a userArgs) (any, error) {
	u, err := c.accounts.FindUser(ctx, a.User)
	if err != nil {
		return nil, err
	}
	err = c.accounts.AdmitUser(ctx, authcore.CommandLine(), u.ID, a.OrgOnly)
	u.OrganizationOnly = a.OrgOnly
	return lineOf(u), err
}

func deleteUser(ctx context.Context, c *console, a userArgs) (any, error) {
	u, err := c.accounts.FindUser(ctx, a.User)
	if err != nil {
		return nil, err
	}
	u.DeleteAt, err = c.accounts.DeleteUser(ctx, authcore.CommandLine(), u.ID, a.After)
	u.Status = authcore.Disabled
	return lineOf(u), err
}
