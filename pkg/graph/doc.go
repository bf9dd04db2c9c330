// Package graph is the model of the Gateway API: gateways, listeners, routes, backends, policies and grants, the edges
// between them (to missing targets too) and what the specification says about each of them.
//
// The graph holds the objects that it was given and never writes to them. Its answers are facts: immutable values that
// two readers render, package status into conditions and package xds/translate into Envoy resources, so that the two
// cannot disagree. A rule of the specification is one function here, with the specification's wording in its comment.
//
// The one invariant, which a fuzz test holds: applying any history of changes one by one gives the same facts as
// building the graph from the objects that are left at the end, in any order.
//
// The graph has no locks, no clock and no I/O. Its owner (package engine) serialises access.
package graph
