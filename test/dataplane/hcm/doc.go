// Package hcm is the HTTP connection manager of the test data plane: it reads the requests of downstream connections, runs the HTTP
// filters over them, and forwards them to clusters, as Envoy's documentation of
// envoy.filters.network.http_connection_manager says.
//
// A [Manager] serves the connections of a filter chain. Each request is a stream, in a goroutine of its own:
//
//	prepare    what Envoy's codecs and the connection manager check and change, before there is a route
//	route      the route, and the filters that it switches on (cors, extauthz, session)
//	forward    the router filter: tries and retries, mirrors, upgrades, time limits
//	reply      responses that aren't from a cluster
//
// net/http reads and writes HTTP. What it refuses before anybody is asked, it refuses in its own words: a header section that is
// too large, a path with a percent sign that encodes nothing (which Envoy takes). Names of headers are sent in HTTP/1.1 as Go
// writes them, not in lower case.
//
// Its invariant: a Manager executes every field of its configuration. New refuses what it doesn't execute and names it.
package hcm
