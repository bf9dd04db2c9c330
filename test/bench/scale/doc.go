// Package scale measures what a server promises to a large fleet: how fast a change reaches thousands of streams, what an
// idle stream costs, how a write's way to a node depends on how much is stored, and what steady change and a restart cost.
//
// The server is the real binary, standalone: a process of its own, with its etcd and fsync. Its CPU time and memory are
// those that Linux reports of the process. Clients run in other processes on the same machine, and so have their share of
// it; what they need is in the figures.
//
// What any implementation can be measured by (package gatewayapi) is run too, without targets.
//
// Each measurement is a Scenario, which returns rows of the table: a figure beside its target. Its one invariant: a
// scenario that couldn't establish what it measures, such as that every stream has received the change, is an error and
// not a figure.
package scale
