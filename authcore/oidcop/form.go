package oidcop

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// The bounds of what programs send.
const (
	maxForm       = 64 << 10 // bytes
	maxParameter  = 16 << 10 // bytes of one parameter: an assertion may be long
	maxParameters = 64
)

// lists are the parameters that may be there several times (RFC 8707 section 2).
var lists = map[string]bool{"resource": true}

// readForm reads the parameters of a request: in the body, and each once (RFC 6749 section
// 3.2).
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, *Error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, &Error{Code: "invalid_request", Description: "Send this with POST.", Status: http.StatusMethodNotAllowed}
	}
	if r.URL.RawQuery != "" {
		return nil, invalid("Parameters belong in the body, not in the address.")
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, &Error{Code: "invalid_request", Description: "Send the parameters as application/x-www-form-urlencoded.", Status: http.StatusUnsupportedMediaType}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, &Error{Code: "invalid_request", Description: "The request is too large.", Status: http.StatusRequestEntityTooLarge}
	}
	if err != nil {
		return nil, invalid("The body could not be read.")
	}
	return ParseForm(string(body))
}

// ParseForm reads parameters that are percent-encoded, each of which may be there once. An
// empty one counts as left out (RFC 6749 section 3.1).
func ParseForm(text string) (url.Values, *Error) {
	if strings.Count(text, "&") >= maxParameters {
		return nil, invalid("There are too many parameters.")
	}
	form, err := url.ParseQuery(text)
	if err != nil {
		return nil, invalid("The parameters are not encoded as application/x-www-form-urlencoded.")
	}
	for name, values := range form {
		if len(values) > 1 && !lists[name] {
			return nil, invalid("A parameter is there more than once: " + plain(name) + ".")
		}
		for _, v := range values {
			if len(v) > maxParameter || !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				return nil, invalid("A parameter is too long, or is no text: " + plain(name) + ".")
			}
		}
		if len(values) == 1 && values[0] == "" {
			delete(form, name)
		}
	}
	return form, nil
}

// plain is a text of somebody else as an error description may hold it (RFC 6749 section
// 5.2).
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' || r == '<' || r == '>' || r == '&' {
			return '.'
		}
		return r
	}, text)
	if len(text) > 40 {
		return text[:40]
	}
	return text
}
