// Package engine owns the graph. Changes come in, from the stores that commit them and from watches; statuses, the
// statuses of dependents and Envoy configuration go out.
//
// Its one invariant: when a write returns, the graph has seen it, and what it changes in Envoy configuration is
// published; only a write for which that takes longer than settleBound returns before. One goroutine (Run) owns the graph
// and everything derived from it; others ask it through commands.
package engine
