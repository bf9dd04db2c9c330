// Package upstream is what Envoy calls a cluster: the hosts that requests and streams go to, how one of them is chosen, and
// how it is spoken to.
//
// A [Cluster] learns its hosts from EDS, DNS, its own configuration or the destination of a redirected connection. A caller
// picks a host, and then either sends it a request ([Cluster.RoundTrip]), or connects to it ([Cluster.Dial],
// [Cluster.DialUDP]). Retries are the caller's affair; whether one is allowed is asked here ([Cluster.TryRetry]).
//
// The invariant: one call is one try. Nothing is sent twice, or to another host than the one that was picked.
package upstream
