// Package nodes says which scope of the xDS cache a node gets, by what its bootstrap configuration says about it
// (envoy.config.core.v3.Node) and by the EnvoyFleets that there are. It is where package engine, which knows the fleets, and
// package server, which knows the nodes, meet.
//
// The one invariant: an answer depends on the node and on what was published last, and on nothing that was before.
package nodes
