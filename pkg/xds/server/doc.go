// Package server serves a cache of xDS resources over gRPC: aggregated (ADS) and by type, delta and state of the world,
// through the servers of go-control-plane. It asks which scope of the cache a node may see, and reports what clients
// reject.
//
// The invariant: a stream sees one scope. The node of its first request decides which, and nothing that is sent later. When
// the node is to see another one, the stream ends, and nothing more is sent on it: Envoy keeps what it has, connects again, and
// is told the difference. The unary Fetch methods are not implemented.
package server
