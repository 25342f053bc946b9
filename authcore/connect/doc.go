// Package connect signs people in with outside providers: the client's side of
// OpenID Connect Core 1.0 and of OAuth 2.0 (RFC 6749) with PKCE (RFC 7636).
//
// A [Provider] knows one of them: where its endpoints are, how its answer is checked,
// and what it says of a person. It keeps nothing of a sign-in under way: what a flow
// needs to end is in its [Flow], which the caller seals and binds to the browser. Who
// of those that a provider vouches for may come in is for its rules to say.
package connect
