// Package access holds policies: who may pass a gate, on which paths, from
// where. A policy is parsed once, when the configuration is loaded, and then
// [Policy.Decide] answers for each request without allocating, locking or
// looking anything up elsewhere. The directive, the verifier and the command
// line all ask this one function.
//
// A policy is read so: of all places that hold a request, by path and method, the
// most specific with an allow or public rule says who may pass; the deny, network
// and require rules of all of them must be met. What is public passes; any deny
// refuses; every network line must hold; any one allow lets in; every require must
// hold; whatever is left is refused. docs/policies.md says it at length.
//
// Threat model. A client chooses path and headers, so nothing but a path in
// canonical form is ever public: see [Canonical]. Zero values refuse: the zero
// Outcome is Deny, and the zero Policy lets nobody in. Names are compared
// exactly, as keys: [Parse] makes the key of a name in the configuration, the
// caller that of a user.
package access
