// Package plane is the test data plane as a whole: it owns the configuration, and wires what executes it.
//
// Clusters and listeners are warmed before they are used, as in Envoy (xDS protocol, "Resource warming"): a cluster when its
// endpoints, its addresses and its secrets have come, a listener when its routes and its secrets have. Until then the one of
// that name that was there before goes on. Routes, endpoints and secrets count from the moment they come. At the start, no
// connection is accepted before the first clusters and, after them, the first listeners are warm (Envoy's "Initialization").
//
// The invariant: one goroutine owns the configuration. What connections need of it they read from registries, in which each
// entry is replaced as a whole.
package plane
