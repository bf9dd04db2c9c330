package graph

// RuleFacts is what is true of a rule of a route.
type RuleFacts struct {
	// Name is spec.rules[].name, or empty.
	Name string
	// Dropped says why the rule is not served at all, e.g. a regular expression that does not compile (UnsupportedValue).
	Dropped *Problem
	// Failing says why every request that the rule matches is answered with 500: a filter that is not supported or
	// cannot be resolved must not be skipped (UnsupportedValue, IncompatibleFilters).
	Failing *Problem
	// NeedsProxy says why no mesh client can execute a rule that is neither dropped nor failing (UnsupportedValue): what
	// it matches fails there, and nowhere else. Only of routes that have a Service among their parentRefs.
	NeedsProxy *Problem
	// Session is the rule's session persistence, which holds for all of its backends; or nil.
	Session *SessionFacts
	// Backends are in the order of backendRefs.
	Backends []BackendFacts
	// Mirrors are the targets of the rule's RequestMirror filters, in their order.
	Mirrors []MirrorFacts
}

// BackendFacts is what is true of a backendRef.
type BackendFacts struct {
	Weight int32 // at least 0; 1 by default
	// Backend is the port of the Service that is referred to; zero if Problem is InvalidKind.
	Backend BackendKey
	// AppProtocol is that port's appProtocol, e.g. "kubernetes.io/h2c", or empty.
	AppProtocol string
	// TLS says that a BackendTLSPolicy rules the connections to the backend, so that they use TLS or fail.
	TLS bool
	// Session is the session persistence that a policy gives to the Service; or nil. It is nil if the rule has its own.
	Session *SessionFacts
	// Problem: InvalidKind, BackendNotFound, RefNotPermitted, UnsupportedProtocol, InvalidBackendTLSPolicy. The backend's
	// share of requests is answered with 500.
	Problem *Problem
}

// MirrorFacts is what is true of a RequestMirror filter. A mirror with a Problem is left out.
type MirrorFacts struct {
	Filter int // index in the rule's filters
	BackendFacts
}
