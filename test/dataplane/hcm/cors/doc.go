// Package cors is Envoy's HTTP filter envoy.filters.http.cors: it answers the preflight requests of browsers, and says in
// responses whose scripts may read them.
//
// Its invariant: as in Envoy, a policy has no effect on a route that redirects or answers itself.
package cors
