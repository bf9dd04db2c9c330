// Package engine owns the graph. Changes come in, from the stores that commit them and from watches; statuses, the
// statuses of dependents and Envoy configuration go out.
//
// Its one invariant: when a write returns, the graph has seen it, and what it changes in Envoy configuration is
// published; only a write for which that takes longer than settleBound returns before. One goroutine (Run) owns the graph
// and everything derived from it; others ask it through commands.
//
// A write is judged by what was stored before it, through this replica or another one, and by the Secrets and ConfigMaps that
// it refers to (sync.go). Where these are another server's, they are read one by one, for as long as something refers to
// them that may (reference.go). An object that is still to be read doesn't count as missing: nothing is published, and no
// status written, until it is there or a bound has passed (command.go).
//
// What nodes say of what they were given comes back from elsewhere, after a detour through etcd, so that all replicas hear the same.
// Nobody waits for the engine to read it (inbox.go). What nodes reject takes away from Programmed for as long as it is published
// (verdict.go), and how many have acknowledged what is published is in a condition of Gateways (delivery.go). That all have is
// said when etcd has nothing that isn't published (delivery_claim.go).
//
// Each replica settles what its own writes have made stale, and the leader what else there is (settle.go). Those who wait for
// the same status share its writes (batch.go).
//
// The leader also has that made in the cluster which Gateways are to have there (infrastructure.go). What comes of it comes back
// by the Services of the cluster, and what is in the way by the status of the Gateway, so that all replicas know the same.
package engine
