package integration

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/authcore/web/api"
)

// driver is what a client script of openid/ asks for what no client does: an organization
// that registers it, and a person with a browser.
type driver struct {
	*httptest.Server
	i      *issuer
	t      *testing.T
	person *browser
}

func newDriver(t *testing.T, i *issuer) *driver {
	d := &driver{i: i, t: t, person: i.Client(t)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /service", handle(d.service))
	mux.HandleFunc("POST /browse", handle(d.browse))
	mux.HandleFunc("POST /approve", handle(d.approve))
	mux.HandleFunc("POST /forget", handle(d.forget))
	d.Server = httptest.NewServer(mux)
	t.Cleanup(d.Close)
	return d
}

// handle answers JSON with JSON.
func handle[In, Out any](f func(In) Out) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(f(in))
	}
}

// service registers the client.
func (d *driver) service(n api.NewService) api.ServiceMade { return d.i.service(d.t, n) }

// visited is where a browser came to rest.
type visited struct {
	brought
	Status int    `json:"status"` // of the page there
	Path   string `json:"path"`
}

// browse has the person go to an address of the issuer.
func (d *driver) browse(in struct{ To string }) visited {
	got := d.i.agree(d.person, in.To, ann)
	return visited{d.i.answerOf(got), got.StatusCode, got.Request.URL.Path}
}

// approve has the person let a device in.
func (d *driver) approve(in struct{ Code string }) struct{} {
	d.i.approve(d.person, in.Code, ann)
	return struct{}{}
}

// forget gives the person another browser.
func (d *driver) forget(struct{}) struct{} {
	d.person.forget()
	return struct{}{}
}

var nodeStep = regexp.MustCompile(`(?m)^did (.+)$`)

// script runs a client script of openid/, which has to end well and to have done as many
// steps as it says at its end.
func (d *driver) script(name string) {
	d.t.Helper()
	if _, err := os.Stat(filepath.Join("openid", "node_modules")); err != nil {
		d.t.Fatal("the OpenID clients are not installed: run integration/setup.sh")
	}
	settings, err := json.Marshal(map[string]string{"issuer": d.i.at, "driver": d.URL, "resource": d.i.URL("HTTPS", "api.example.com")})
	must(d.t, err)
	cmd := exec.CommandContext(d.t.Context(), "node", filepath.Join("openid", name+".mjs"))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "NODE_EXTRA_CA_CERTS=" + d.i.authority()}
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(settings), &out, &out
	if err := cmd.Run(); err != nil {
		d.t.Fatalf("%s: %v\n%s", name, err, out.String())
	}
	var did []string
	for _, m := range nodeStep.FindAllStringSubmatch(out.String(), -1) {
		did = append(did, m[1])
	}
	if len(did) == 0 || !strings.HasSuffix(strings.TrimSpace(out.String()), "done") {
		d.t.Errorf("%s did not come to its end:\n%s", name, out.String())
	}
	d.t.Logf("%s: %s", name, strings.Join(did, "; "))
}

// TestOpenIDClient is npm's openid-client.
func TestOpenIDClient(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		newDriver(t, startIssuer(t, c)).script("openid-client")
	})
}

// TestOAuth4WebAPI is npm's oauth4webapi.
func TestOAuth4WebAPI(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		newDriver(t, startIssuer(t, c)).script("oauth4webapi")
	})
}
