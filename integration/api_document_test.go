package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore/web/api"
)

// apiDocument is what is read of an OpenAPI document.
type apiDocument struct {
	Paths map[string]map[string]struct {
		Responses map[string]struct {
			Content map[string]struct{ Schema apiSchema }
		}
	}
	Components struct{ Schemas map[string]apiSchema }
}

// apiSchema is the part of JSON Schema that the document uses.
type apiSchema struct {
	Ref                  string `json:"$ref"`
	Type                 any
	Format               string
	Enum, Required       []string
	Properties           map[string]apiSchema
	Items                *apiSchema
	AdditionalProperties any
}

// conforms holds an answer of a route against the document.
func (w *apiWorld) conforms(rt *api.Route, got page) {
	w.t.Helper()
	op := w.doc.Paths[rt.Path][strings.ToLower(rt.Method)]
	response, ok := op.Responses[strconv.Itoa(got.StatusCode)]
	if !ok {
		if response = op.Responses["default"]; got.StatusCode < 400 {
			w.t.Errorf("%s: the document knows no answer %d", rt.ID, got.StatusCode)
			return
		}
	}
	w.checked++
	if got.StatusCode < 300 {
		w.worked[rt.ID] = true
	}
	media, ok := response.Content["application/json"]
	if !ok {
		if got.Body != "" {
			w.t.Errorf("%s: an answer that is to be empty: %s", rt.ID, got.Body)
		}
		return
	}
	var value any
	d := json.NewDecoder(bytes.NewReader([]byte(got.Body)))
	d.UseNumber()
	if err := d.Decode(&value); err != nil || got.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		w.t.Errorf("%s: %s is no JSON: %v", rt.ID, got.Header.Get("Content-Type"), err)
		return
	}
	extra := []string(nil)
	if got.StatusCode >= 400 {
		extra = []string{"login_url"} // where somebody can prove more
	}
	if complaint := w.doc.check(media.Schema, value, extra...); complaint != "" {
		w.t.Errorf("%s: not as the document says: %s\n%s", rt.ID, complaint, got.Body)
	}
}

// check says what is wrong with a value; nothing where it is as the schema says.
func (d *apiDocument) check(s apiSchema, value any, extra ...string) string {
	if s.Ref != "" {
		of, ok := d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
		if !ok {
			return "no schema " + s.Ref
		}
		return d.check(of, value, extra...)
	}
	kind := "null"
	switch v := value.(type) {
	case string:
		kind = "string"
		if s.Format == "date-time" {
			if _, err := time.Parse(time.RFC3339Nano, v); err != nil {
				return v + " is no time"
			}
		}
		if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
			return fmt.Sprintf("%q is none of %v", v, s.Enum)
		}
	case bool:
		kind = "boolean"
	case json.Number:
		kind = "integer"
	case []any:
		kind = "array"
		for _, one := range v {
			if complaint := d.check(*s.Items, one); complaint != "" {
				return complaint
			}
		}
	case map[string]any:
		kind = "object"
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				return name + " is missing"
			}
		}
		for name, one := range v {
			of, ok := s.Properties[name]
			if !ok {
				if s.AdditionalProperties == false && !slices.Contains(extra, name) {
					return name + " is not in the document"
				}
				continue
			}
			if complaint := d.check(of, one); complaint != "" {
				return name + ": " + complaint
			}
		}
	}
	if !strings.Contains(fmt.Sprint(s.Type), kind) {
		return fmt.Sprintf("%s, not %v", kind, s.Type)
	}
	return ""
}
