package caddymodule

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/password"
	"github.com/gatehouse-auth/gatehouse/store"
)

// scrape is what Prometheus gets of a core by a registry of Caddy's.
func scrape(t *testing.T, c *core) string {
	t.Helper()
	r := prometheus.NewPedanticRegistry() // as Caddy's are
	if err := r.Register(collector{c}); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	promhttp.HandlerFor(r, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d\n%s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gate.db")
	if got := scrape(t, newCore(store.Config{Driver: store.SQLite, Path: path})); got != "" {
		t.Errorf("a core that is not open tells:\n%s", got)
	}
	c := testCore(t, path)
	defer func() {
		if err := c.Destruct(); err != nil {
			t.Error(err)
		}
	}()
	first := scrape(t, c)
	problems, err := promlint.New(strings.NewReader(first)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("promlint: %s: %s", p.Metric, p.Text)
	}
	var told []string
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(first, -1) {
		told = append(told, m[1])
	}
	if diff := cmp.Diff(names(c), told); diff != "" {
		t.Errorf("described and told (-want +got):\n%s", diff)
	}

	accounts, err := c.accounts(values{params: password.Params{Memory: 64, Passes: 1, Lanes: 1}})
	if err != nil {
		t.Fatal(err)
	}
	somebody := authcore.Anonymous(authcore.NewClient("192.0.2.1", "test", ""))
	if _, _, err := accounts.SignIn(t.Context(), somebody, authcore.SignIn{Login: "alice", Password: "wrong"}); !errors.Is(err, authcore.ErrLoginFailed) {
		t.Fatal(err)
	}
	for s := c.audit.Stats(); s.Written == 0 || s.Queue+s.Waiting > 0; s = c.audit.Stats() {
		time.Sleep(time.Millisecond)
	}
	got := scrape(t, c) // by another registry, as after a reload
	for _, want := range []string{
		`gate_sign_ins_total{outcome="failure"} 1`, `gate_sign_ins_total{outcome="success"} 0`,
		"gate_hashing_duration_seconds_count 1", "gate_hashing_permits_in_use 0", "gate_hashing_refused_total 0",
		"gate_audit_accepted_total 1", "gate_audit_written_total 1", "gate_audit_dropped_total 0", "gate_audit_failed_writes_total 0",
		"gate_audit_batch_events_sum 1", "gate_audit_flush_duration_seconds_count 1",
		`gate_audit_waiting_events{place="queue"} 0`, `gate_audit_waiting_events{place="batch"} 0`,
	} {
		if !strings.Contains(got, "\n"+want+"\n") {
			t.Errorf("there is no %s in\n%s", want, got)
		}
	}
}

// names are those of all metrics.
func names(c *core) []string {
	to := make(chan *prometheus.Desc, 100)
	collector{c}.Describe(to)
	close(to)
	var all []string
	for d := range to {
		all = append(all, regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1])
	}
	slices.Sort(all)
	return all
}

var metricName = regexp.MustCompile(`\bgate_[a-z_]+\b`)

// named are the metrics that a text names, those of histograms without what
// Prometheus adds.
func named(text string, known []string) (all []string) {
	for _, name := range metricName.FindAllString(text, -1) {
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, cut := strings.CutSuffix(name, suffix); cut && slices.Contains(known, base) {
				name = base
			}
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestMetricsInDocuments holds the documents to the metrics that there are.
func TestMetricsInDocuments(t *testing.T) {
	t.Parallel()
	known := names(newCore(store.Config{}))
	body, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var directives = []string{"gate_portal"}
	got := slices.DeleteFunc(named(string(body), known), func(name string) bool { return slices.Contains(directives, name) })
	if diff := cmp.Diff(known, got); diff != "" {
		t.Errorf("docs/metrics.md (-there is +named):\n%s", diff)
	}
}

// dashboard is what a test looks at of Grafana's model.
type dashboard struct {
	Inputs []struct {
		Name, Type, PluginID string
	} `json:"__inputs"`
	Title, UID    string
	SchemaVersion int
	Panels        []panel
	Templating    struct{ List []variable }
}

type panel struct {
	ID          int
	Type, Title string
	GridPos     struct{ H, W, X, Y int }
	Datasource  struct{ Type, UID string }
	Targets     []struct{ Expr, RefID string }
	FieldConfig struct{ Defaults struct{ Unit string } }
}

type variable struct {
	Name       string
	Definition string
}

func TestDashboard(t *testing.T) {
	t.Parallel()
	known := names(newCore(store.Config{}))
	body, err := os.ReadFile("../docs/grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(body, &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Inputs) != 1 || d.Inputs[0].Name != "DS_PROMETHEUS" || d.Inputs[0].Type != "datasource" || d.Inputs[0].PluginID != "prometheus" ||
		d.SchemaVersion < 36 || d.Title == "" || d.UID == "" {
		t.Errorf("it cannot be imported: inputs %v, schema %d, title %q, uid %q", d.Inputs, d.SchemaVersion, d.Title, d.UID)
	}
	shown := ""
	for _, v := range d.Templating.List {
		shown += v.Definition + "\n"
	}
	ids := make(map[int]bool)
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.W == 0 {
			t.Errorf("panel %d %q: no title, no place, or the id of another", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || p.Datasource.UID != "${DS_PROMETHEUS}" || p.FieldConfig.Defaults.Unit == "" {
			t.Errorf("panel %q: no targets, no unit, or another data source", p.Title)
		}
		for _, target := range p.Targets {
			shown += target.Expr + "\n"
		}
	}
	if diff := cmp.Diff(known, named(shown, known)); diff != "" {
		t.Errorf("metrics (-there is +shown):\n%s", diff)
	}
}
