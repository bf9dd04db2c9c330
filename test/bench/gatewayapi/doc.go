// Package gatewayapi measures an implementation of Gateway API, any one, through nothing but its public API: objects are
// created, changed and deleted, statuses are read, and, where there is a data plane, requests are sent to a Gateway's
// address.
//
// The scenarios are those of https://github.com/howardjohn/gateway-api-bench: how an implementation counts attached
// routes, how long a route takes to reach the data plane, and what thousands of routes and of ListenerSets do to it. They
// differ from it where a figure would depend on the rate of the client: it has no limit here, and is printed.
//
// Its one invariant: when a run has ended, however it does, nothing is left of it in the cluster.
package gatewayapi
