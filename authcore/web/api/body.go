package api

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"time"
)

// field is one field of a body or an answer.
type field struct {
	name     string
	index    []int
	of       reflect.StructField
	optional bool
}

// fieldsOf lists the fields of a struct as JSON has them.
func fieldsOf(t reflect.Type) []field {
	var all []field
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || !f.IsExported() || name == "-" || name == "" {
			continue
		}
		all = append(all, field{name: name, index: f.Index, of: f, optional: strings.Contains(options, "omit")})
	}
	return all
}

// keySetType is the one type of a field that can be null.
var keySetType = reflect.TypeFor[KeySet]()

// decode reads a body, which is one JSON object with each field once, spelled as it is.
func decode(body []byte, t reflect.Type) (any, error) {
	in := reflect.New(t)
	values, err := objectOf(body)
	if err != nil {
		return nil, err
	}
	for _, f := range fieldsOf(t) {
		raw, ok := values[f.name]
		delete(values, f.name)
		switch {
		case !ok && f.optional:
			continue
		case !ok:
			return nil, invalid("field_required", f.name, "This field is required.")
		}
		to := in.Elem().FieldByIndex(f.index)
		if null := string(raw) == "null" && f.of.Type != keySetType; null || json.Unmarshal(raw, to.Addr().Interface()) != nil {
			return nil, invalid("field_type", f.name, "This field is to be "+kindOf(f.of.Type)+".")
		}
	}
	for name := range values {
		return nil, invalid("field_unknown", short(name), "There is no such field here.")
	}
	return in.Interface(), nil
}

func kindOf(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Time]():
		return "a time such as 2026-01-31T12:00:00Z"
	case keySetType:
		return "an object or null"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	}
	return "an object"
}

// objectOf reads the names and values of one JSON object.
func objectOf(body []byte) (map[string]json.RawMessage, error) {
	values := make(map[string]json.RawMessage)
	d := json.NewDecoder(bytes.NewReader(body))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, errBadBody
	}
	for d.More() {
		name, err := d.Token()
		text, ok := name.(string)
		if err != nil || !ok {
			return nil, errBadBody
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, errBadBody
		}
		if _, twice := values[text]; twice {
			return nil, invalid("field_twice", short(text), "This field is there twice.")
		}
		values[text] = raw
	}
	if _, err := d.Token(); err != nil {
		return nil, errBadBody
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errBadBody
	}
	return values, nil
}
