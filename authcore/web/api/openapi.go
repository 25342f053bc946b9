package api

import (
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// object is a JSON object of the document.
type object = map[string]any

// document is the OpenAPI document, which is the same for every request.
var document = sync.OnceValue(func() json.RawMessage {
	text, err := json.Marshal(Document(Routes))
	if err != nil {
		panic(err) // it holds texts, lists and objects only
	}
	return text
})

// Document describes routes (OpenAPI 3.1).
func Document(routes []Route) map[string]any {
	schemas := schemas{}
	schemas["Error"] = object{"type": "object", "required": []string{"error"}, "properties": object{"error": object{"type": "object", "required": []string{"code", "message"},
		"properties": object{"code": object{"type": "string", "description": "does not change"}, "message": object{"type": "string", "description": "for people"},
			"request_id": object{"type": "string"}, "field": object{"type": "string", "description": "the field or parameter at fault"}}}}}
	paths := object{}
	for i := range routes {
		rt := &routes[i]
		path, ok := paths[rt.Path].(object)
		if !ok {
			path = object{}
			paths[rt.Path] = path
		}
		path[strings.ToLower(rt.Method)] = operation(rt, schemas)
	}
	return object{
		"openapi": "3.1.0",
		"info":    object{"title": "Gatehouse", "version": "1", "description": "Users, organizations with their services, and the installation. Lists answer items and next: give next as after for the next page, which may hold fewer than limit; the last one has next null."},
		"servers": []object{{"url": "/.gate/api/v1"}},
		"paths":   paths,
		"components": object{"schemas": schemas, "securitySchemes": object{
			"token":     object{"type": "http", "scheme": "bearer", "bearerFormat": "gate_…", "description": "An access token that is good for this host, with the scope of the operation (x-scope)."},
			"key":       object{"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "An API key of a service (gate_sk_…), with the scope of the operation (x-scope)."},
			"bearerKey": object{"type": "http", "scheme": "bearer", "bearerFormat": "gate_sk_…", "description": "The same, as Bearer."},
			"session":   object{"type": "apiKey", "in": "cookie", "name": "__Host-gate", "description": "The session of somebody who signed in here. Changes must come from this origin, as JSON."}}},
		"security": []object{{"token": []string{}}, {"session": []string{}}},
	}
}

func operation(rt *Route, s schemas) object {
	var params []object
	for rest := rt.Path; rest != ""; {
		var segment string
		segment, rest, _ = strings.Cut(rest, "/")
		if name, ok := placeName(segment); ok {
			schema := object{"type": "string"}
			if !named(name) {
				schema["format"] = "uuid"
			}
			params = append(params, object{"name": name, "in": "path", "required": true, "schema": schema})
		}
	}
	for _, p := range rt.Params {
		params = append(params, object{"name": p.Name, "in": "query", "description": p.Doc, "schema": p.schema()})
	}
	if rt.Orders != nil {
		params = append(params, object{"name": "sort", "in": "query", "description": "the order", "schema": object{"type": "string", "enum": words(rt.Orders), "default": string(rt.Orders[0])}})
	}
	if rt.Do.list {
		params = append(params, object{"name": "limit", "in": "query", "schema": object{"type": "integer", "minimum": 1, "maximum": maxLimit, "default": defaultLimit}},
			object{"name": "after", "in": "query", "description": "next of the page before", "schema": object{"type": "string"}})
	}
	good := object{"description": "It worked"}
	if rt.Do.answer != nil {
		schema := s.of(rt.Do.answer)
		if rt.Do.list || rt.Do.whole {
			schema = object{"type": "object", "required": []string{"items", "next"}, "additionalProperties": false,
				"properties": object{"items": object{"type": "array", "items": schema}, "next": object{"type": []string{"string", "null"}}}}
		}
		good["content"] = object{"application/json": object{"schema": schema}}
	}
	op := object{"operationId": rt.ID, "summary": rt.Summary, "x-scope": rt.NeedsScope(),
		"responses": object{statusText(rt.status()): good, "default": object{"description": "An error", "content": object{"application/json": object{"schema": ref("Error")}}}}}
	if rt.Creates {
		params = append(params, object{"name": "Idempotency-Key", "in": "header", "description": "For 24 hours, the same request with the same key gets the same answer and creates nothing again.", "schema": object{"type": "string", "maxLength": maxKey}})
	}
	if rt.Owners {
		op["x-role"] = string(authcore.RoleOwner)
	}
	if rt.Need != "" {
		op["x-capability"] = string(rt.Need)
	}
	switch {
	case rt.Realm == Service:
		op["security"] = []object{{"key": []string{}}, {"bearerKey": []string{}}}
	case rt.InPerson:
		op["security"] = []object{{"session": []string{}}}
	}
	if len(params) > 0 {
		op["parameters"] = params
	}
	if rt.Do.body != nil {
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": s.of(rt.Do.body)}}}
	}
	return op
}

func statusText(status int) string {
	text, _ := json.Marshal(status)
	return string(text)
}

func ref(name string) object { return object{"$ref": "#/components/schemas/" + name} }

func (p *Param) schema() object {
	switch p.Form {
	case Word:
		return object{"type": "string", "enum": p.Values}
	case ID:
		return object{"type": "string", "format": "uuid"}
	case Time:
		return object{"type": "string", "format": "date-time"}
	}
	return object{"type": "string", "maxLength": maxText}
}

// schemas are the types of bodies and answers, by the names of their Go types.
type schemas map[string]any

// of gives the schema of a type: a reference for a struct.
func (s schemas) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return object{}
	case t == keySetType:
		return object{"type": []string{"object", "null"}, "required": []string{"keys"}, "properties": object{"keys": object{"type": "array", "minItems": 1, "maxItems": authcore.MaxPublicKeys, "items": object{"type": "object"}}}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Slice:
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		s.add(t)
		return ref(t.Name())
	}
	return object{"type": "string"}
}

// add adds a struct.
func (s schemas) add(t reflect.Type) {
	if _, there := s[t.Name()]; there {
		return
	}
	properties, required := object{}, []string{}
	s[t.Name()] = object{"type": "object", "additionalProperties": false, "properties": properties, "required": &required}
	for _, f := range fieldsOf(t) {
		schema := s.of(f.of.Type)
		if doc := f.of.Tag.Get("doc"); doc != "" {
			schema["description"] = doc
		}
		if values := f.of.Tag.Get("enum"); values != "" {
			schema["enum"] = strings.Fields(values)
		}
		if properties[f.name] = schema; !f.optional {
			required = append(required, f.name)
		}
	}
}
