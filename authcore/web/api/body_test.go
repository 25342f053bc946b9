package api

import (
	"encoding/json"
	"reflect"
	"testing"
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
