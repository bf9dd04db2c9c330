// Package hcm is the HTTP connection manager of the test data plane: it reads the requests of downstream connections,
// runs the HTTP filters over them, and forwards them to clusters, as Envoy's documentation of
// envoy.filters.network.http_connection_manager says.
//
// Its invariant: a Manager executes every field of its configuration. New refuses what it doesn't execute and names it.
package hcm
