package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/oidcop"
	"github.com/gatehouse-auth/gatehouse/authcore/totp"
	"github.com/gatehouse-auth/gatehouse/authcore/web/api"
)

func loginCommand() *cobra.Command {
	var noQR bool
	cmd := &cobra.Command{
		Use:   "login URL",
		Short: "Signs the command line in to an installation elsewhere",
		Long: `Signs the command line in to an installation elsewhere, with a code that you enter in a
browser, on this machine or any other. What you may do there, "caddy gate api" and commands
with --at URL do for you then, for 30 days. The account page lists the sign-in as an access
token, and revokes it.`,
		Example: "  caddy gate login https://auth.example.com",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := where(cmd, args)
			if err == nil && at == "" {
				err = errors.New("say where: caddy gate login https://auth.example.com")
			}
			if err != nil {
				return err
			}
			o, err := parseOrigin(at)
			if err != nil {
				return fmt.Errorf("%q: %w", at, err)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			err = login(newRemote(ctx, o.String()), cmd.OutOrStdout(), !noQR && term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("TERM") != "dumb")
			if err != nil && ctx.Err() != nil {
				err = errors.New("stopped: nothing was signed in")
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&noQR, "no-qr", false, "show no QR code")
	return cmd
}

func logoutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logout [URL]",
		Short: "Signs the command line out of an installation elsewhere",
		Long: `Signs the command line out of an installation elsewhere, the last one that it was signed in
to unless another is named: its token is revoked there, and deleted here.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := where(cmd, args)
			if err != nil {
				return err
			}
			all, err := readSignIns()
			if err != nil {
				return err
			}
			origin, s, err := all.find(at)
			if err != nil {
				return err
			}
			revoked := newRemote(cmd.Context(), origin).revoke(s.Token)
			all.drop(origin)
			if err := all.write(); err != nil {
				return errors.Join(err, revoked)
			}
			if revoked != nil {
				return fmt.Errorf("signed out here, but the token is good there until %s, unless you revoke it at %s/.gate/account: %w", s.Expires.Local().Format(time.DateOnly), origin, revoked)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Signed out of %s.\n", origin)
			return err
		},
	}
}

// where is the installation that is named by an argument, or as for other commands.
func where(cmd *cobra.Command, args []string) (string, error) {
	if len(args) > 0 {
		if cmd.Flags().Changed("at") {
			return "", errors.New("name the installation once: leave out --at")
		}
		return args[0], nil
	}
	return atOf(cmd)
}

// endpoints are what an installation says of itself (OpenID Connect Discovery 1.0, RFC 8628
// section 4).
type endpoints struct {
	Issuer string `json:"issuer"`
	Device string `json:"device_authorization_endpoint"`
	Token  string `json:"token_endpoint"`
	Revoke string `json:"revocation_endpoint"`
}

// discover asks an installation where its provider is: under its own origin.
func (r *remote) discover() (e endpoints, err error) {
	const path = "/.well-known/openid-configuration"
	ans, err := r.send(http.MethodGet, path, nil, nil)
	if err != nil {
		return e, err
	}
	if ans.StatusCode != http.StatusOK || json.Unmarshal(ans.body, &e) != nil {
		return e, fmt.Errorf("there is no portal of Gatehouse at %s: what it answers at %s (%s) makes no sense", r.origin, path, printable(ans.Status))
	}
	if e.Issuer != r.origin {
		return e, fmt.Errorf("%s says that it is %q: give the address of the portal itself", r.origin, printable(e.Issuer))
	}
	for _, at := range []*string{&e.Device, &e.Token, &e.Revoke} {
		under, ok := strings.CutPrefix(*at, r.origin+"/")
		if !ok {
			return e, fmt.Errorf("%s does not let the command line in: its provider is not where it must be", r.origin)
		}
		*at = "/" + under
	}
	return e, nil
}

// refusal is an error of the provider (RFC 6749 section 5.2).
type refusal struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

// post sends a form to the provider, as the command line. It gives the error that the
// answer is; without a code where the answer makes no sense.
func (r *remote) post(path string, form url.Values) (remoteAnswer, *refusal, error) {
	form.Set("client_id", oidcop.CommandLine)
	ans, err := r.send(http.MethodPost, path, strings.NewReader(form.Encode()), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
	if err != nil || ans.StatusCode == http.StatusOK {
		return ans, nil, err
	}
	var no refusal
	if json.Unmarshal(ans.body, &no) != nil {
		no = refusal{}
	}
	return ans, &no, nil
}

// refused is an error of the provider in words.
func (r *remote) refused(ans remoteAnswer, no *refusal) error {
	if no.Description == "" {
		return fmt.Errorf("%s answers with %s %s, and does not say why", r.origin, printable(ans.Status), printable(no.Code))
	}
	return fmt.Errorf("%s refuses: %s", r.origin, printable(no.Description))
}

// waiting is what a command line that wants in is told (RFC 8628 section 3.2).
type waiting struct {
	Device   string `json:"device_code"`
	Code     string `json:"user_code"`
	URI      string `json:"verification_uri"`
	Complete string `json:"verification_uri_complete"`
	Expires  int64  `json:"expires_in"` // seconds
	Interval int64  `json:"interval"`   // seconds
}

var userCode = regexp.MustCompile(`^[0-9A-Za-z-]{4,32}$`)

// begin asks for a code.
func (r *remote) begin(e endpoints) (w waiting, err error) {
	ans, no, err := r.post(e.Device, url.Values{})
	switch {
	case err != nil:
		return w, err
	case no != nil && no.Code == "invalid_client":
		return w, fmt.Errorf("%s does not know the command line: it is no Gatehouse, or an old one", r.origin)
	case no != nil:
		return w, r.refused(ans, no)
	}
	leads := func(to string) bool { return strings.HasPrefix(to, r.origin+"/") && printable(to) == to }
	if json.Unmarshal(ans.body, &w) != nil || w.Device == "" || !userCode.MatchString(w.Code) || !leads(w.URI) || w.Complete != "" && !leads(w.Complete) || w.Expires <= 0 || w.Interval < 0 {
		return w, fmt.Errorf("%s gives no code: what it answers makes no sense", r.origin)
	}
	w.Expires, w.Interval = min(w.Expires, 3600), min(w.Interval, 60)
	if w.Interval == 0 {
		w.Interval = 5 // RFC 8628 section 3.2
	}
	return w, nil
}

// login signs in, and keeps the token.
func login(r *remote, out io.Writer, withQR bool) error {
	if _, err := readSignIns(); err != nil { // before somebody does something in vain
		return err
	}
	e, err := r.discover()
	if err != nil {
		return err
	}
	w, err := r.begin(e)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "To sign in to %s, open\n\n  %s\n\non any device, and enter the code\n\n  %s\n\n", r.origin, w.URI, w.Code)
	if withQR && w.Complete != "" {
		if picture, err := totp.QRText(w.Complete); err == nil { // without, the code does
			fmt.Fprintln(out, picture)
		}
	}
	fmt.Fprintf(out, "Waiting. The code is good for %d minutes; Ctrl-C ends this.\n", (w.Expires+59)/60)
	s, err := r.poll(e, w, out)
	if err != nil {
		return err
	}
	all, err := readSignIns()
	if err != nil {
		return err
	}
	before := all.keep(r.origin, s)
	if err := all.write(); err != nil {
		return errors.Join(err, r.revoke(s.Token))
	}
	if before.Token != "" {
		_ = r.revoke(before.Token) // it ends by itself otherwise
	}
	r.token = s.Token
	as := ""
	if me, err := get[api.User](r, "me", nil); err == nil { // not to know the name is no harm
		as = " as " + printable(me.Username)
	}
	_, err = fmt.Fprintf(out, "Signed in to %s%s, until %s.\n", r.origin, as, s.Expires.Local().Format(time.DateOnly))
	return err
}

// poll asks until the user has answered (RFC 8628 section 3.5).
func (r *remote) poll(e endpoints, w waiting, out io.Writer) (s signIn, err error) {
	every, end, away := time.Duration(w.Interval)*time.Second, time.Now().Add(time.Duration(w.Expires)*time.Second), false
	for sleep(r.ctx, every) {
		ans, no, err := r.post(e.Token, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {w.Device}})
		switch {
		case err == nil && no == nil:
			return r.tokenOf(ans)
		case err != nil, no.Code == "temporarily_unavailable", no.Code == "" && ans.StatusCode >= 500:
			if err == nil {
				err = r.refused(ans, no)
			}
			if !away && r.ctx.Err() == nil {
				fmt.Fprintf(out, "Waiting on: %v\n", err)
			}
			away, every = true, max(every, retryAfter(ans))
		case no.Code == "authorization_pending":
			away = false
		case no.Code == "slow_down":
			every += 5 * time.Second
		case no.Code == "access_denied":
			return s, fmt.Errorf("the sign-in was refused: %s", printable(no.Description))
		case no.Code == "expired_token":
			return s, errTooLate
		default:
			return s, r.refused(ans, no)
		}
		if time.Now().After(end) {
			return s, errTooLate
		}
	}
	return s, context.Cause(r.ctx)
}

var errTooLate = errors.New("nobody entered the code in time: sign in again")

// retryAfter is how long an answer asks to wait, of a minute at most.
func retryAfter(ans remoteAnswer) time.Duration {
	if ans.Response == nil {
		return 0
	}
	n, _ := strconv.Atoi(ans.Header.Get("Retry-After"))
	return min(time.Duration(max(n, 0)), 60) * time.Second
}

func (r *remote) tokenOf(ans remoteAnswer) (signIn, error) {
	var t struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int64  `json:"expires_in"` // seconds
	}
	if json.Unmarshal(ans.body, &t) != nil || !authcore.PlausibleAccessToken(t.Token) || !strings.EqualFold(t.Type, "Bearer") || t.Expires <= 0 {
		return signIn{}, fmt.Errorf("%s gives no access token: what it answers makes no sense", r.origin)
	}
	return signIn{Token: t.Token, Expires: time.Now().Add(time.Duration(t.Expires) * time.Second).UTC().Truncate(time.Second)}, nil
}

// revoke ends a token (RFC 7009).
func (r *remote) revoke(token string) error {
	e, err := r.discover()
	if err != nil {
		return err
	}
	ans, no, err := r.post(e.Revoke, url.Values{"token": {token}})
	if err == nil && no != nil {
		err = r.refused(ans, no)
	}
	return err
}
