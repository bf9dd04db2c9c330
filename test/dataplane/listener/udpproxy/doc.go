// Package udpproxy is the listener filter envoy.filters.udp_listener.udp_proxy: it forwards datagrams to a host of a cluster,
// and what the host answers to the client.
//
// The one invariant: all datagrams from one address to one address go to the same host, and answers come from the address that
// was asked, for as long as their session lasts.
package udpproxy
