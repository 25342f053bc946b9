package web

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// Question asks what happens with a request, without sending it.
type Question struct {
	Method string
	URL    *url.URL
	From   netip.Addr     // the client's address; the zero Addr is unknown
	User   *authcore.User // nil for nobody
	Proof  access.Proof   // of the user's session
}

// ParseQuestion reads the parts of a question that are text.
func ParseQuestion(method, address, from string) (q Question, err error) {
	q.Method = strings.ToUpper(strings.TrimSpace(method))
	if q.Method == "" {
		q.Method = http.MethodGet
	}
	q.URL, err = url.Parse(strings.TrimSpace(address))
	if err != nil || q.URL.Scheme != "http" && q.URL.Scheme != "https" || q.URL.Host == "" {
		return q, &authcore.Error{Kind: authcore.Invalid, Code: "url_invalid", Field: "url",
			Message: "Write the whole address, e.g. https://app.example.com/admin."}
	}
	if q.URL.Path == "" {
		q.URL.Path = "/"
	}
	if from = strings.TrimSpace(from); from == "" {
		return q, nil
	}
	if q.From, err = netip.ParseAddr(from); err != nil {
		return q, &authcore.Error{Kind: authcore.Invalid, Code: "address_invalid", Field: "from",
			Message: "Write an IP address, e.g. 192.0.2.7 or 2001:db8::7."}
	}
	q.From = q.From.Unmap()
	return q, nil
}

// Explanation is the answer to a Question.
type Explanation struct {
	Outcome string `json:"outcome"`        // allow, step up, sign in or deny; "no gate" where none is on the way
	Rule    string `json:"rule,omitempty"` // the rule that decided
	At      string `json:"at,omitempty"`   // where it stands
	Policy  string `json:"policy,omitempty"`
	Gate    string `json:"gate,omitempty"` // where the gate stands
	// Notes say what else there is to know, a sentence each.
	Notes []string `json:"notes,omitempty"`
}

// explainData is the Data of the page that explains decisions.
type explainData struct {
	User, Method, URL, From string
	Provider                string // by which the user signed in
	Providers               bool   // there are some
	Answer                  *Explanation
}

// explainPage shows platform owners which rule decides a request, and why.
func (h *Handler) explainPage(w http.ResponseWriter, r *http.Request, p Place) error {
	live, err := h.signedIn(r, p)
	if err != nil {
		if errors.Is(err, authcore.ErrNoSession) && Navigation(r) {
			redirect(w, Prefix+"login?return_to="+url.QueryEscape(r.URL.RequestURI()))
			return nil
		}
		return err
	}
	if !live.User().Owner {
		h.Fail(w, r, p, live, errRefused)
		return nil
	}
	if _, lacks := h.governs(live, p, true); lacks {
		h.RequireStepUp(w, r, p, r.URL, live, access.Need{SecondFactor: true})
		return nil
	}
	q := r.URL.Query()
	d := explainData{User: q.Get("user"), Method: q.Get("method"), URL: q.Get("url"), From: q.Get("from"), Provider: strings.TrimSpace(q.Get("provider")), Providers: len(h.Providers.All()) > 0}
	v := View{User: userView(live)}
	status := http.StatusOK
	if d.URL != "" {
		answer, err := h.explain(r.Context(), d)
		if err != nil {
			prob := describe(err, p.Client.RequestID)
			if prob.Status >= http.StatusInternalServerError {
				return err
			}
			v.Error, status = errorView(prob), prob.Status
		} else {
			d.Answer = &answer
		}
		if wantsJSON(r) && err == nil {
			writeJSON(w, status, answer)
			return nil
		}
		if wantsJSON(r) {
			return err
		}
	}
	v.Data = d
	return h.show(w, r, p, status, "explain", v)
}

func (h *Handler) explain(ctx context.Context, d explainData) (Explanation, error) {
	question, err := ParseQuestion(d.Method, d.URL, d.From)
	if err != nil {
		return Explanation{}, err
	}
	if name := strings.TrimSpace(d.User); name != "" {
		u, err := h.Accounts.FindUser(ctx, name)
		if err != nil {
			return Explanation{}, inField(err, "", "user")
		}
		question.User = &u
	}
	question.Proof.Provider = d.Provider
	return h.Explain(question)
}
