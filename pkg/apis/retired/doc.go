// Package retired knows the fields that a kind had in another release of the Gateway API than the served one, within the
// same version: spec.backendTLS of a Gateway v1 was in v1.2 and v1.3, and is spec.tls.backend since v1.4. It rewrites the
// documents that clients send, so that such a field sets its successor.
//
// Its one invariant: a document says the same before and after. What its successor can't say, or not as safely, is an
// error that names the reason; what has no successor and no effect is kept in an annotation.
//
// Fields that another version or another kind has are conversions, and not here. Neither are these changes within a
// version, which leave nothing to rewrite:
//   - status.listeners[].port of an XListenerSet went away with the kind: its Go type still has it.
//   - retry.attempts of an HTTPRoute has a default since v1.7. The served schema is of v1.6, which has none.
//   - allowCredentials of a CORS filter could only be true in v1.3, and is any boolean since v1.4.
//   - The name of an XBackend's port is in v1.6, which is served, and went away in v1.7.
package retired
