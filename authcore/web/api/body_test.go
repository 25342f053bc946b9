package api

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// FuzzDecode: what is taken as a body is JSON that means the same to everybody.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"slug":"a"}`, `{"slug":"a","name":"b"}`, `{"slug":"a","slug":"b"}`, `{"Slug":"a"}`, `{"slug":null}`, `{} {}`, `[`, `{"slug":"\ud800"}`, ``, `{"slug":"a",}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		in, err := decode(body, reflect.TypeFor[NewOrganization]())
		if err != nil {
			return
		}
		var plain NewOrganization
		if err := json.Unmarshal(body, &plain); err != nil || plain != *in.(*NewOrganization) {
			t.Errorf("%q: %+v, and otherwise %+v, %v", body, in, plain, err)
		}
	})
}

// A set of keys is an object or null, and nothing else is null.
func TestNull(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ more, keys, field string }{
		{"", "", ""}, {`,"keys":null`, "", ""}, {`,"keys": {"keys": []} `, `{"keys": []}`, ""},
		{`,"keys":[]`, "", "keys"}, {`,"keys":"{}"`, "", "keys"}, {`,"keys":7`, "", "keys"}, {`,"scopes":null`, "", "scopes"}, {`,"dpop":null`, "", "dpop"},
	} {
		in, err := decode([]byte(`{"type":"web","name":"x"`+c.more+`}`), reflect.TypeFor[NewService]())
		if e := new(authcore.Error); c.field != "" {
			if !errors.As(err, &e) || e.Code != "field_type" || e.Field != c.field {
				t.Errorf("%s: %+v, %v", c.more, in, err)
			}
			continue
		}
		if err != nil || in.(*NewService).Keys != KeySet(c.keys) {
			t.Errorf("%s: %+v, %v", c.more, in, err)
		}
	}
	for keys, want := range map[KeySet]string{"": `{"keys":null}`, `{"keys":[{"kty":"EC"}]}`: `{"keys":{"keys":[{"kty":"EC"}]}}`} {
		if text, err := json.Marshal(struct {
			Keys KeySet `json:"keys"`
		}{keys}); err != nil || string(text) != want {
			t.Errorf("%s, %v, want %s", text, err, want)
		}
	}
}
