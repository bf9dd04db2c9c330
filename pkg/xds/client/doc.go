// Package client reads, once, what an xDS server has for a node: the aggregated discovery service in its delta form,
// asked as an Envoy (all listeners and clusters) or as a proxyless gRPC client (listeners by name), followed through
// every reference to routes, endpoints and secrets.
//
// Its invariant: a Snapshot is complete when the protocol says so, because each name that was asked for has been
// answered with a resource or as removed. No timing decides it.
package client
