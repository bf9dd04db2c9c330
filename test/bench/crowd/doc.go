// Package crowd plays a fleet of Envoys to an xDS server: thousands of aggregated delta streams, each on a connection of
// its own from an address of its own, that acknowledge all they are sent.
//
// The clients are as light as can be, because they share the machine with the server that is measured: each is one goroutine, has a
// buffer only while it receives something, and reads of a response only what it needs. They speak gRPC in frames of HTTP/2
// themselves, and have the flow control window of an Envoy.
//
// A crowd runs in a process of its own ([Start], [Main]), so that its CPU time and memory aren't the server's.
//
// Its one invariant: an arrival is reported only if every stream of the crowd has received it, whole.
package crowd
