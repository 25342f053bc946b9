package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

func apiCommand() *cobra.Command {
	var method, data string
	cmd := &cobra.Command{
		Use:   "api PATH",
		Short: "Carries out any operation of the JSON API of an installation that you are signed in to",
		Long: `Carries out any operation of the JSON API of an installation that you are signed in to (see
"caddy gate login"): the last one, or that of --at. It prints the answer. "caddy gate api
openapi.json" tells all operations.`,
		Example: "  caddy gate api me\n  caddy gate api /organizations/acme/members\n  caddy gate api 'platform/users?q=ali&limit=20'\n" +
			"  caddy gate api organizations --data '{\"slug\": \"acme\"}'\n  caddy gate api -X PATCH organizations/acme --data @settings.json",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := apiPathOf(args[0])
			if err != nil {
				return err
			}
			body, err := readData(data, cmd.InOrStdin())
			if err != nil {
				return err
			}
			if method == "" {
				method = http.MethodGet
				if body != nil {
					method = http.MethodPost
				}
			}
			at, err := atOf(cmd)
			if err != nil {
				return err
			}
			r, err := remoteAt(cmd, at)
			if err != nil {
				return err
			}
			ans, err := r.call(strings.ToUpper(method), path, body)
			if err != nil || len(ans.body) == 0 {
				return err
			}
			var pretty bytes.Buffer
			if json.Indent(&pretty, ans.body, "", "  ") != nil {
				return fmt.Errorf("%s answers with what is no JSON: is it the address of the portal?", r.origin)
			}
			_, err = fmt.Fprintln(&plainWriter{out: cmd.OutOrStdout()}, pretty.String())
			return err
		},
	}
	cmd.Flags().StringVarP(&method, "method", "X", "", "GET, POST, PUT, PATCH or DELETE (default: GET, or POST with --data)")
	cmd.Flags().StringVarP(&data, "data", "d", "", "the body: JSON, or @FILE, or - for standard input")
	return cmd
}

// apiPathOf is the path of an operation as people write it, with its query.
func apiPathOf(text string) (string, error) {
	path := strings.TrimPrefix(strings.TrimPrefix(text, strings.TrimSuffix(apiPath, "/")), "/")
	u, err := url.Parse("/" + path)
	if err != nil || path == "" || u.Host != "" || u.Fragment != "" || strings.Contains(path, "://") {
		return "", fmt.Errorf("%q is no path of the API, such as me or /organizations/acme/members", text)
	}
	return path, nil
}

// readData gives the body that --data names; nil for none.
func readData(text string, stdin io.Reader) (body []byte, err error) {
	name, isFile := strings.CutPrefix(text, "@")
	switch {
	case text == "":
		return nil, nil
	case text == "-":
		body, err = io.ReadAll(stdin)
	case isFile:
		body, err = os.ReadFile(name)
	default:
		body = []byte(text)
	}
	if err == nil && !json.Valid(body) {
		err = errors.New("--data is no JSON")
	}
	return body, err
}
