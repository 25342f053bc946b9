package caddymodule

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

func caddyconfigJSON(s *Settings) json.RawMessage { return caddyconfig.JSON(s, nil) }

func unmarshal(raw json.RawMessage, s *Settings) error { return caddy.StrictUnmarshalJSON(raw, s) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func parseListen(text string) (caddy.NetworkAddress, error) { return caddy.ParseNetworkAddress(text) }
