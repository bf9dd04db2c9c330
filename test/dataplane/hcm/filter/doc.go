// Package filter is what the HTTP filters of a connection manager have in common: a request on its way through them, and an answer
// that one gives itself.
//
// Its invariant: an Exchange belongs to one goroutine. Filters run in it, one after the other.
package filter
