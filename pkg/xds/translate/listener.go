package translate

import (
	"maps"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// bufferLimit is Envoy's recommendation for edge proxies: 32 KiB for each connection, down- and upstream.
const bufferLimit = 32 << 10

// Listeners returns the Envoy listeners of a Gateway by port: one for each port that has a programmed HTTP or HTTPS
// listener, because Envoy binds a port once. The HTTP listeners of a port share a filter chain and a table of virtual
// hosts; an HTTPS listener has a filter chain, chosen by server name (SNI), and a table of its own.
func Listeners(gw *graph.GatewayFacts) []*listenerv3.Listener {
	byPort := map[int32][]*graph.ListenerFacts{}
	for _, l := range servedListeners(gw) {
		byPort[int32(l.Spec.Port)] = append(byPort[int32(l.Spec.Port)], l)
	}
	out := make([]*listenerv3.Listener, 0, len(byPort))
	for _, port := range slices.Sorted(maps.Keys(byPort)) {
		out = append(out, portListener(gw, port, byPort[port]))
	}
	return out
}

// servedListeners returns the listeners of a Gateway that carry traffic.
func servedListeners(gw *graph.GatewayFacts) []*graph.ListenerFacts {
	if !gw.Managed || gw.Unaccepted != nil || gw.Unprogrammed != nil {
		return nil
	}
	var served []*graph.ListenerFacts
	for _, l := range gw.Listeners {
		if l.Conflict != nil || l.Unaccepted != nil || l.Unprogrammed != nil {
			continue
		}
		if l.Spec.Protocol == gwv1.HTTPProtocolType || l.Spec.Protocol == gwv1.HTTPSProtocolType {
			served = append(served, l)
		}
	}
	return served
}

func gatewayName(gw *graph.GatewayFacts) types.NamespacedName {
	return types.NamespacedName{Namespace: gw.Object.Namespace, Name: gw.Object.Name}
}

func portListener(gw *graph.GatewayFacts, port int32, listeners []*graph.ListenerFacts) *listenerv3.Listener {
	gateway := gatewayName(gw)
	out := &listenerv3.Listener{
		Name:                          listenerName(gateway, port),
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(bufferLimit),
	}
	bind(out, gw.Addresses, port)

	http := graph.TableKey{Gateway: gateway, Port: port}
	var hasHTTP bool
	for _, l := range listeners {
		if l.Spec.Protocol == gwv1.HTTPProtocolType {
			hasHTTP = true
			continue
		}
		table := http
		table.Listener = string(l.Spec.Name)
		out.FilterChains = append(out.FilterChains, &listenerv3.FilterChain{
			Name:             table.Listener,
			FilterChainMatch: tlsMatch(l.Hostname),
			Filters:          []*listenerv3.Filter{connectionManager(table)},
			TransportSocket:  downstreamTLS(l, clientCAName(gateway, port)),
		})
	}
	if len(out.FilterChains) > 0 {
		// Reads the server name from the ClientHello, so that a filter chain can be chosen by it.
		out.ListenerFilters = []*listenerv3.ListenerFilter{{
			Name:       "envoy.filters.listener.tls_inspector",
			ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: packed(&tlsinspectorv3.TlsInspector{})},
		}}
	}
	if hasHTTP {
		chain := &listenerv3.FilterChain{Name: "http", Filters: []*listenerv3.Filter{connectionManager(http)}}
		if len(out.FilterChains) > 0 {
			chain.FilterChainMatch = &listenerv3.FilterChainMatch{TransportProtocol: "raw_buffer"}
		}
		out.FilterChains = append(out.FilterChains, chain)
	}
	return out
}

// tlsMatch matches TLS connections for a listener's hostname, which may be a wildcard such as "*.example.com". Without a
// hostname, it matches the connections that no other listener of the port wants, those without a server name included.
func tlsMatch(hostname string) *listenerv3.FilterChainMatch {
	match := &listenerv3.FilterChainMatch{TransportProtocol: "tls"}
	if hostname != "" {
		match.ServerNames = []string{hostname}
	}
	return match
}

// bind lets the listener bind a port on every address, or on the given ones. "Every" is the dual-stack socket [::]: it
// binds also where no interface has an IPv6 address. Where IPv6 is compiled or booted out of the kernel it doesn't;
// there a Gateway asks for 0.0.0.0 in spec.addresses.
func bind(l *listenerv3.Listener, addresses []string, port int32) {
	if len(addresses) == 0 {
		l.Address = socketAddress("::", port)
		l.Address.GetSocketAddress().Ipv4Compat = true
		return
	}
	l.Address = socketAddress(addresses[0], port)
	for _, address := range addresses[1:] {
		l.AdditionalAddresses = append(l.AdditionalAddresses, &listenerv3.AdditionalAddress{Address: socketAddress(address, port)})
	}
}

func socketAddress(ip string, port int32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       ip,
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}

// adsSource says that a resource is to be had from the stream on which this one came.
func adsSource() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		ResourceApiVersion:    corev3.ApiVersion_V3,
	}
}
