package oidcop

import (
	"net/http"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// metadata is what clients find out about the provider (OpenID Connect Discovery 1.0 section
// 3, RFC 8414 section 2).
type metadata struct {
	Issuer             string   `json:"issuer"`
	Authorize          string   `json:"authorization_endpoint"`
	Token              string   `json:"token_endpoint"`
	Userinfo           string   `json:"userinfo_endpoint"`
	Keys               string   `json:"jwks_uri"`
	Device             string   `json:"device_authorization_endpoint"`
	Introspect         string   `json:"introspection_endpoint"`
	Revoke             string   `json:"revocation_endpoint"`
	Push               string   `json:"pushed_authorization_request_endpoint"`
	EndSession         string   `json:"end_session_endpoint"`
	Scopes             []string `json:"scopes_supported"`
	ResponseTypes      []string `json:"response_types_supported"`
	ResponseModes      []string `json:"response_modes_supported"`
	Grants             []string `json:"grant_types_supported"`
	Subjects           []string `json:"subject_types_supported"`
	Signatures         []string `json:"id_token_signing_alg_values_supported"`
	TokenAuth          []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgs      []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	IntrospectAuth     []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectAuthAlgs []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RevokeAuth         []string `json:"revocation_endpoint_auth_methods_supported"`
	RevokeAuthAlgs     []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	DPoP               []string `json:"dpop_signing_alg_values_supported"`
	Challenges         []string `json:"code_challenge_methods_supported"`
	Classes            []string `json:"acr_values_supported"`
	Claims             []string `json:"claims_supported"`
	Prompts            []string `json:"prompt_values_supported"`
	NamesIssuer        bool     `json:"authorization_response_iss_parameter_supported"`
	BackChannel        bool     `json:"backchannel_logout_supported"`
	BackChannelSession bool     `json:"backchannel_logout_session_supported"`
	ClaimsParameter    bool     `json:"claims_parameter_supported"`
	Request            bool     `json:"request_parameter_supported"`
	RequestURI         bool     `json:"request_uri_parameter_supported"`
	PushedOnly         bool     `json:"require_pushed_authorization_requests"`
}

// discovery tells clients what there is and where.
func (p *Provider) discovery(w http.ResponseWriter, r *http.Request, _ authcore.Client) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		(&Error{Code: "invalid_request", Description: "Send this with GET.", Status: http.StatusMethodNotAllowed}).write(w)
		return
	}
	algorithms := namesOf(assertionAlgorithms)
	confidential := []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}
	all := append(slices.Clone(confidential), "none")
	answer(w, http.StatusOK, metadata{Issuer: p.Issuer, Authorize: p.Issuer + PathAuthorize, Token: p.Issuer + PathToken, Userinfo: p.Issuer + PathUserinfo, Keys: p.Issuer + PathKeys,
		Device: p.Issuer + PathDevice, Introspect: p.Issuer + PathIntrospect, Revoke: p.Issuer + PathRevoke, Push: p.Issuer + PathPush, EndSession: p.Issuer + PathEndSession,
		Scopes: authcore.ProviderScopes, ResponseTypes: []string{"code"}, ResponseModes: []string{modeQuery, modeForm, modeFragment}, Grants: []string{grantCode, grantRefresh, grantDevice, grantClient},
		Subjects: []string{"public"}, Signatures: []string{string(authcore.ES256), string(authcore.RS256)},
		TokenAuth: all, TokenAuthAlgs: algorithms, IntrospectAuth: confidential, IntrospectAuthAlgs: algorithms, RevokeAuth: all, RevokeAuthAlgs: algorithms, DPoP: namesOf(proofAlgorithms),
		Challenges: []string{"S256"}, Classes: []string{ClassSingle, ClassMulti},
		Claims:  []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "act", "name", "preferred_username", "updated_at", "email", "email_verified", "groups", "org", "roles"},
		Prompts: []string{promptNone, promptLogin, promptConsent, promptAccount}, NamesIssuer: true, BackChannel: true, BackChannelSession: true})
}

func namesOf(algorithms []jose.SignatureAlgorithm) []string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = string(a)
	}
	return names
}
