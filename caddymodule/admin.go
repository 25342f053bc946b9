package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// adminAPI lets the command line work through a server that runs, on Caddy's
// admin endpoint. Whoever reaches that endpoint can replace the whole
// configuration, so it opens no door that was shut.
type adminAPI struct{}

var _ caddy.AdminRouter = (*adminAPI)(nil)

// adminPath is where operations are posted.
const adminPath = "/gate/run"

// CaddyModule implements caddy.Module.
func (*adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.gate", New: func() caddy.Module { return new(adminAPI) }}
}

// Routes implements caddy.AdminRouter.
func (*adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: adminPath, Handler: caddy.AdminHandlerFunc(run)}}
}

// call is an operation on its way to a running server.
type call struct {
	Database  string          `json:"database"` // key of the database that is meant
	Operation string          `json:"operation"`
	Args      json.RawMessage `json:"args"`
}

// answer is what comes back.
type answer struct {
	Elsewhere bool            `json:"elsewhere,omitempty"` // the server runs on another database
	Result    json.RawMessage `json:"result,omitempty"`
	Error     string          `json:"error,omitempty"`
}

// run carries an operation out on the configuration that runs now. After a
// reload that failed the admin endpoint still belongs to the failed one, so the
// app is looked up each time.
func run(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("POST only")}
	}
	var c call
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&c); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
	}
	w.Header().Set("Content-Type", "application/json")
	app, err := caddy.ActiveContext().AppIfConfigured("gate")
	if err != nil || app.(*App).values.database.Key() != c.Database {
		return json.NewEncoder(w).Encode(answer{Elsewhere: true})
	}
	rt, err := app.(*App).running()
	if err != nil {
		return json.NewEncoder(w).Encode(answer{Error: err.Error()})
	}
	done := rt.core.use()
	defer done()
	con := &console{accounts: rt.accounts, db: rt.core.db, keys: rt.core.keys, origin: rt.pagesOrigin(), explain: rt.explain}
	return json.NewEncoder(w).Encode(con.run(r.Context(), c.Operation, c.Args))
}

func (c *console) run(ctx context.Context, name string, args json.RawMessage) answer {
	if name == "" {
		return answer{} // somebody looks whether we are here
	}
	op := operations[name]
	if op == nil {
		return answer{Error: fmt.Sprintf("the server that runs does not know %q: is it another version?", name)}
	}
	result, err := op(ctx, c, args)
	if err != nil {
		return answer{Error: plain(err)}
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Result: raw}
}

// plain is an error for the terminal: the sentence where there is one, with the
// cause where the operator can do something about it.
func plain(err error) string {
	var e *authcore.Error
	if errors.As(err, &e) && e.Kind != authcore.Internal && e.Kind != authcore.Unavailable {
		return e.Message
	}
	return err.Error()
}
