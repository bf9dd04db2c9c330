// Package extauthz is Envoy's HTTP filter envoy.filters.http.ext_authz: it asks an authorization server, by gRPC or HTTP, whether
// a request may go on, and does what the server says.
//
// Its invariant: a request goes on only if the server says so. If it can't be asked, or its answer is invalid, that is an error, and
// only failure_mode_allow lets a request pass with one.
package extauthz
