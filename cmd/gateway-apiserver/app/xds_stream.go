package app

import (
	"fmt"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	udpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/udp_proxy/v3"
)

// tcpClusters returns the clusters that the TCP proxies of a chain forward to, with their weights if that is asked for.
func tcpClusters(chain *listenerv3.FilterChain, weights bool) []string {
	var out []string
	for _, filter := range chain.GetFilters() {
		var proxy tcpproxyv3.TcpProxy
		if filter.GetTypedConfig().UnmarshalTo(&proxy) != nil {
			continue // another filter
		}
		if name := proxy.GetCluster(); name != "" {
			out = append(out, name)
		}
		for _, c := range proxy.GetWeightedClusters().GetClusters() {
			name := c.GetName()
			if weights {
				name += fmt.Sprintf(" weight %d", c.GetWeight())
			}
			out = append(out, name)
		}
	}
	return out
}

// udpCluster returns the cluster that a UDP proxy forwards all packets of a listener to, or "".
func udpCluster(l *listenerv3.Listener) string {
	for _, filter := range l.GetListenerFilters() {
		var (
			proxy udpproxyv3.UdpProxyConfig
			route udpproxyv3.Route
		)
		if filter.GetTypedConfig().UnmarshalTo(&proxy) != nil {
			continue // another filter
		}
		if proxy.GetMatcher().GetOnNoMatch().GetAction().GetTypedConfig().UnmarshalTo(&route) == nil {
			return route.GetCluster()
		}
	}
	return ""
}

// streamProtocols tells of the clusters that TCP and UDP proxies forward to which of the two it is.
func streamProtocols(listeners []*listenerv3.Listener) map[string]string {
	out := map[string]string{}
	for _, l := range listeners {
		if name := udpCluster(l); name != "" {
			out[name] = "UDP"
		}
		for _, chain := range chainsOf(l) {
			for _, name := range tcpClusters(chain, false) {
				out[name] = "TCP"
			}
		}
	}
	return out
}

// inlineEndpoints returns the endpoints that clusters carry in themselves, such as names to ask DNS for.
func inlineEndpoints(clusters []*clusterv3.Cluster) []*endpointv3.ClusterLoadAssignment {
	var out []*endpointv3.ClusterLoadAssignment
	for _, c := range clusters {
		if assignment := c.GetLoadAssignment(); assignment != nil {
			out = append(out, assignment)
		}
	}
	return out
}
