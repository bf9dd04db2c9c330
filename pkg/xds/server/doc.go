// Package server serves a cache of xDS resources over gRPC: aggregated (ADS) and by type, delta and state of the world, the latter
// through the server of go-control-plane. It finds out who a client is and which scope of the cache its node may see, bounds what
// clients may take, and knows the nodes that are connected. A stream that has nothing to do takes little: it is most of a fleet.
//
// The invariant: a stream sees one scope, which its client may read. The node of its first request decides which, and nothing that is
// sent later; who the client is, and whether it may read the scope, is asked when the stream begins, for each request, and from time
// to time without one. When the answer is no, or the node is to see another scope, the stream ends, and nothing more is sent on it:
// Envoy keeps what it has, connects again, and is told the difference.
//
// Nothing is read of a stream before its client is known. That holds for methods that aren't served too, such as the unary Fetch.
package server
