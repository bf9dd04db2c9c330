// Package bench is the home of the benchmarks that run a server as its users do: in a process of its own, over its real
// etcd, with clients in other processes. Those of single packages are beside their code, for go test -bench.
//
//   - scale measures what the project promises of a large fleet, and says what is met (`make bench`).
//   - gatewayapi measures any implementation of Gateway API through its public API.
//   - crowd is the fleet: thousands of xDS clients in one process.
package bench
