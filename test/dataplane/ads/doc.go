// Package ads is a client of the aggregated discovery service in its delta form (xDS protocol, "Incremental xDS"), as Envoy is
// one: it subscribes to all clusters and listeners and to the rest by name, hands what is sent to a [Handler], and
// acknowledges or rejects it.
//
// The invariant: the server is told the truth. A response is acknowledged only after the handler took all of it, and the next
// stream names a version as known only if it was acknowledged. Otherwise a server would withhold what the client lacks.
package ads
