// Package server serves a cache of xDS resources over gRPC: aggregated (ADS) and by type, delta and state of the world,
// through the servers of go-control-plane. It decides which scope of the cache a node may see, and reports what clients
// reject.
//
// The invariant: a stream sees one scope. The node of its first request chooses it, and nothing that is sent later changes
// it. The unary Fetch methods are not implemented.
package server
