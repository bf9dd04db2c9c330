package graph

import "iter"

// RuleFacts is what is true of a rule of a route.
type RuleFacts struct {
	// Name is spec.rules[].name, or empty.
	Name string
	// Dropped says why the rule is not served at all, e.g. a regular expression that does not compile (UnsupportedValue).
	Dropped *Problem
	// Failing says why every request that the rule matches is answered with 500, or every call of gRPC with UNAVAILABLE: a
	// filter that is not supported must not be skipped (UnsupportedValue, IncompatibleFilters).
	Failing *Problem
	// NeedsProxy says why no proxyless client of the mesh can execute a rule that is neither dropped nor failing
	// (UnsupportedValue): what it matches fails there, and nowhere else. Only of RouteFacts.MeshRules.
	NeedsProxy *Problem
	// Session is the rule's session persistence, which holds for all of its backends; or nil.
	Session *SessionFacts
	// Backends are in the order of backendRefs.
	Backends []BackendFacts
	// FilterFacts is what is true of the rule's filters.
	FilterFacts
}

// FilterFacts is what is true of what a list of filters refers to.
type FilterFacts struct {
	// Mirrors are the targets of the RequestMirror filters, in their order.
	Mirrors []MirrorFacts
	// ExternalAuth is the service that is asked to authorize each request; nil if none is.
	ExternalAuth *ExternalAuthFacts
}

// BackendFacts is what is true of a backendRef.
type BackendFacts struct {
	Weight int32 // at least 0; 1 by default
	// Backend is the port of the Service or the XBackend that is referred to; zero if Problem is InvalidKind.
	Backend BackendKey
	// AppProtocol is that port's appProtocol, e.g. "kubernetes.io/ws", or empty. An XBackend has none.
	AppProtocol string
	// HTTP2 says that the port speaks HTTP/2 to whoever sends requests. It speaks HTTP/1.1 otherwise, but for gRPC.
	HTTP2 bool
	// TLS says that a BackendTLSPolicy, or the XBackend, rules the connections to the backend: they use TLS or fail.
	TLS bool
	// Session is the session persistence that a policy gives to the backend; or nil. It is nil if the rule has its own.
	Session *SessionFacts
	// Filters is what is true of the filters of the backendRef. What a filter refers to has none.
	Filters FilterFacts
	// Problem: InvalidKind, BackendNotFound, RefNotPermitted, UnsupportedProtocol, InvalidBackendTLSPolicy, InvalidBackend. The
	// backend's share of requests is answered with 500.
	Problem *Problem
}

// MirrorFacts is what is true of a RequestMirror filter. A mirror with a Problem is left out.
type MirrorFacts struct {
	Filter int // index in the list of filters
	BackendFacts
}

// ExternalAuthFacts is what is true of an ExternalAuth filter. With a Problem, requests that it is to authorize are answered
// with 500.
type ExternalAuthFacts struct {
	Filter int // index in the list of filters
	BackendFacts
}

// targets are all that the requests of a rule may be sent to.
func (r *RuleFacts) targets() iter.Seq[*BackendFacts] {
	return func(yield func(*BackendFacts) bool) {
		for i := range r.Backends {
			if b := &r.Backends[i]; !yield(b) || !b.Filters.eachTarget(yield) {
				return
			}
		}
		r.FilterFacts.eachTarget(yield)
	}
}

func (f *FilterFacts) eachTarget(yield func(*BackendFacts) bool) bool {
	for i := range f.Mirrors {
		if !yield(&f.Mirrors[i].BackendFacts) {
			return false
		}
	}
	return f.ExternalAuth == nil || yield(&f.ExternalAuth.BackendFacts)
}
