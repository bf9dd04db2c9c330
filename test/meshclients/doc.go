// Package meshclients tests that the clients of the mesh agree: that a route with a Service as its parent means the same to
// gRPC's implementations in Go, in C++ (of which Python's is a thin layer) and in JavaScript, which execute it themselves, and
// to a data plane that executes it as a sidecar. Each of them reads what the server has for it with a parser of its own.
//
// The one invariant: the expectation is written down, in testdata, before a client is asked. A client that ends up elsewhere
// fails the test, unless the file says where and why.
package meshclients
