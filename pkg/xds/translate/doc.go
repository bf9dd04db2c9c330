// Package translate renders the graph's facts as Envoy v3 resources: what an Envoy asks for that serves a Gateway
// (listeners, secrets, route configurations, clusters, endpoints), and what a proxyless gRPC client asks for that
// calls a Service (API listeners, clusters, endpoints).
//
// It is pure: equal facts give equal bytes, so that a content hash can be a resource's version, and nothing is decided
// here that status doesn't show. Facts say what is accepted, permitted and resolved; this package says it in Envoy's words.
//
// The one invariant, which a fuzz test holds: a resource is never rejected. Envoy refuses a whole RouteConfiguration for
// one bad value, so a value that Envoy would refuse costs at most the route that carries it.
package translate
