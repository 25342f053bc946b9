package caddymodule

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/gatehouse-auth/gatehouse/authcore/web"
)

// Headers is how an upstream is told who is there: by the name of a preset, or by
// names of its own. The zero Headers are the preset remote.
type Headers struct {
	// remote (default), oauth2-proxy, authentik, x-token, jwt or none.
	Preset string `json:"preset,omitempty"`
	// The names of headers by what they say: user, groups, name, email, id,
	// organization (the slug of the active one), role (in it).
	Names map[string]string `json:"names,omitempty"`
	// What stands between groups under a name of one's own: comma (default), space
	// or pipe.
	Separator string `json:"separator,omitempty"`
}

// headerWords are what headers can say, under names of one's own.
var headerWords = map[string]web.Field{
	"user": web.FieldUsername, "groups": web.FieldGroups, "name": web.FieldName, "email": web.FieldEmail, "id": web.FieldID,
	"organization": web.FieldOrganization, "role": web.FieldOrganizationRole,
}

// separators are what can stand between groups.
var separators = map[string]web.Field{
	"": web.FieldGroups, "comma": web.FieldGroups, "space": web.FieldGroupsBySpace, "pipe": web.FieldGroupsByPipe,
}

// own tells whether the names are one's own.
func (h *Headers) own() bool { return len(h.Names) > 0 }

// preset gives the headers as requests use them.
func (h *Headers) preset() (*web.Preset, error) {
	switch {
	case h.own() && h.Preset != "":
		return nil, fmt.Errorf("headers are a preset or names, not both")
	case h.own():
		var all []web.IdentityHeader
		for _, word := range sortedKeys(h.Names) {
			says, known := headerWords[word]
			if !known {
				return nil, fmt.Errorf("headers: unknown word %q; known here: %s", word, strings.Join(sortedKeys(headerWords), ", "))
			}
			if word == "groups" {
				if says, known = separators[h.Separator]; !known {
					return nil, fmt.Errorf("headers: between groups stands comma, space or pipe, not %q", h.Separator)
				}
			}
			all = append(all, web.IdentityHeader{Name: h.Names[word], Says: says})
		}
		return web.NewPreset(all)
	case h.Preset == "":
		return web.RemotePreset, nil
	}
	if p := web.Presets[h.Preset]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("unknown headers %q", h.Preset)
}

// parse reads `headers PRESET`, or a block of names.
func (h *Headers) parse(d *caddyfile.Dispenser) error {
	if h.Preset != "" || h.own() {
		return d.Err("headers stands here a second time")
	}
	args := d.RemainingArgs()
	if len(args) == 1 && web.Presets[args[0]] != nil {
		h.Preset = args[0]
		return noBlock(d, "headers "+args[0])
	}
	wrong := d.Errf("headers takes one of: %s; or a block of names, as in user X-App-User", strings.Join(sortedKeys(web.Presets), ", "))
	if len(args) > 0 {
		return wrong
	}
	h.Names = make(map[string]string)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		word, args := d.Val(), d.RemainingArgs()
		if _, known := headerWords[word]; !known {
			return d.Errf("unknown word %q; known here: %s", word, strings.Join(sortedKeys(headerWords), ", "))
		}
		if h.Names[word] != "" {
			return d.Errf("%s stands here a second time", word)
		}
		if len(args) == 2 && word == "groups" {
			h.Separator = args[1]
		} else if len(args) != 1 {
			return d.Errf("%s takes the name of a header", word)
		}
		h.Names[word] = args[0]
	}
	if !h.own() {
		return wrong
	}
	if _, err := h.preset(); err != nil {
		return d.Errf("%v", err)
	}
	return nil
}
