// Package session is Envoy's HTTP filter envoy.filters.http.stateful_session: it reads from a cookie or a header which host a
// request is to be sent to, and tells the client when it was sent to another one.
//
// Its invariant: as in Envoy, the address of the host is all that a session consists of; nothing is kept here.
package session
