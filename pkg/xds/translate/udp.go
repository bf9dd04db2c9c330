package translate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	udpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/udp_proxy/v3"
)

// udp returns the Envoy listener of a UDP listener. Without a backend that can be used it goes without a filter, which drops
// all packets.
func (b *listenerBuilder) udp(l servedListener) *listenerv3.Listener {
	port := int32(l.Spec.Port)
	out := b.listener(listenerName(b.scope.Key, port)+"/udp", port)
	out.GetAddress().GetSocketAddress().Protocol = corev3.SocketAddress_UDP
	for _, a := range out.AdditionalAddresses {
		a.GetAddress().GetSocketAddress().Protocol = corev3.SocketAddress_UDP
	}
	out.UdpListenerConfig = &listenerv3.UdpListenerConfig{}
	s := streamSplit(b.stream(l))
	if len(s.valid) == 0 {
		return out
	}
	proxy := &udpproxyv3.UdpProxyConfig{
		StatPrefix:     out.Name,
		RouteSpecifier: &udpproxyv3.UdpProxyConfig_Cluster{Cluster: b.clusters.use(connector{}.cluster(s.valid[0].BackendFacts))},
	}
	out.ListenerFilters = []*listenerv3.ListenerFilter{{
		Name:       "envoy.filters.udp_listener.udp_proxy",
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: packed(proxy)},
	}}
	return out
}
