package translate

import (
	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	udpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/udp_proxy/v3"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// udp returns the Envoy listener of a UDP listener. Packets from one address and port go to one endpoint, until none has been
// seen for a minute (Envoy's default).
func (b *listenerBuilder) udp(l servedListener) *listenerv3.Listener {
	port := int32(l.Spec.Port)
	out := b.listener(listenerName(b.scope.Key, port)+"/udp", port, listenerOrigin(l.Key))
	out.GetAddress().GetSocketAddress().Protocol = corev3.SocketAddress_UDP
	for _, a := range out.AdditionalAddresses {
		a.GetAddress().GetSocketAddress().Protocol = corev3.SocketAddress_UDP
	}
	proxy := &udpproxyv3.UdpProxyConfig{
		StatPrefix:     out.Name,
		RouteSpecifier: udpRoute(b.udpCluster(b.stream(l))),
		AccessLog:      accessLogs(b.fleet()),
	}
	out.ListenerFilters = []*listenerv3.ListenerFilter{{
		Name:       "envoy.filters.udp_listener.udp_proxy",
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: packed(proxy)},
	}}
	return out
}

// udpCluster returns the name of the cluster that packets are sent to. Without a backend that can be used, that is one that
// isn't there, for which Envoy drops packets; without a filter, it would refuse the listener.
func (b *listenerBuilder) udpCluster(stream *graph.StreamFacts) string {
	s := streamSplit(stream)
	if len(s.valid) == 0 {
		return UnresolvedCluster
	}
	if backend := s.only(); backend != nil {
		return b.clusters.use(connector{}.cluster(backend.BackendFacts))
	}
	return b.clusters.use(ClusterKey{BackendKey: graph.UDPRouteBackend(stream.Routes[0].Key)})
}

// udpRoute sends all packets to a cluster. This is the long form of the field "cluster", which is deprecated.
func udpRoute(cluster string) *udpproxyv3.UdpProxyConfig_Matcher {
	return &udpproxyv3.UdpProxyConfig_Matcher{Matcher: &xdsmatcherv3.Matcher{
		OnNoMatch: &xdsmatcherv3.Matcher_OnMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Action{
			Action: &xdscorev3.TypedExtensionConfig{Name: "route", TypedConfig: packed(&udpproxyv3.Route{Cluster: cluster})},
		}},
	}}
}
