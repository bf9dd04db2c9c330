// Package listener executes Envoy listeners (envoy.config.listener.v3.Listener): it binds their sockets, runs their listener
// filters, chooses a filter chain for each connection, terminates TLS and hands the connection to the network filter of the
// chain.
//
// A [Set] is all listeners of a data plane. It owns the sockets, so that a listener can be replaced by another one of its
// name while the socket stays open and accepts, and it knows which listener a redirected connection is for.
//
// The one invariant: a populated field that isn't executed here is an error that names it. Nothing is ignored.
package listener
