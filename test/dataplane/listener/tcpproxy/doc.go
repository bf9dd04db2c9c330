// Package tcpproxy is the network filter envoy.filters.network.tcp_proxy: it forwards a connection, byte for byte, to a host
// of a cluster.
//
// The one invariant: a half of a connection that one end has closed is closed towards the other end, too, once all bytes before
// that have been forwarded; the other half goes on.
package tcpproxy
