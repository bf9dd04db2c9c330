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

// Listeners returns the Envoy listeners of a scope by port, and the clusters that they forward to themselves, sorted: one
// listener for each port that has a programmed listener, because Envoy binds a port once, and another one for UDP. The HTTP
// listeners of a port share a filter chain and a table of virtual hosts; an HTTPS listener has a filter chain, chosen by
// server name (SNI), and a table of its own; a TLS listener has one for each server name that its routes tell apart.
func Listeners(scope *graph.ScopeFacts) ([]*listenerv3.Listener, []ClusterKey) {
	b := &listenerBuilder{scope: scope, streams: map[graph.ListenerKey][]*graph.StreamFacts{}, clusters: clusterSet{}}
	for i := range scope.Streams {
		s := &scope.Streams[i]
		b.streams[s.Key.Listener] = append(b.streams[s.Key.Listener], s)
	}
	byPort := map[int32][]servedListener{}
	for _, l := range servedListeners(scope) {
		byPort[int32(l.Spec.Port)] = append(byPort[int32(l.Spec.Port)], l)
	}
	out := make([]*listenerv3.Listener, 0, len(byPort))
	for _, port := range slices.Sorted(maps.Keys(byPort)) {
		out = append(out, b.port(port, byPort[port])...)
	}
	return out, b.clusters.sorted()
}

// servedListener is a listener that carries traffic, and its Gateway.
type servedListener struct {
	*graph.ListenerFacts
	gateway *graph.GatewayFacts
}

// servedListeners returns the listeners of a scope that carry traffic.
func servedListeners(scope *graph.ScopeFacts) []servedListener {
	var served []servedListener
	for _, gw := range scope.Gateways {
		if gw.Unaccepted != nil || gw.Unprogrammed != nil {
			continue
		}
		for _, l := range gw.Listeners {
			if l.Conflict == nil && l.Unaccepted == nil && l.Unprogrammed == nil {
				served = append(served, servedListener{l, gw})
			}
		}
	}
	return served
}

func gatewayName(gw *graph.GatewayFacts) types.NamespacedName {
	return types.NamespacedName{Namespace: gw.Object.Namespace, Name: gw.Object.Name}
}

type listenerBuilder struct {
	scope    *graph.ScopeFacts
	streams  map[graph.ListenerKey][]*graph.StreamFacts
	clusters clusterSet
}

// port returns the Envoy listeners of a port: one for TCP, one for UDP, as far as there is something to serve.
func (b *listenerBuilder) port(port int32, listeners []servedListener) []*listenerv3.Listener {
	var out []*listenerv3.Listener
	var plain, tls []*listenerv3.FilterChain
	for _, l := range listeners {
		switch l.Spec.Protocol {
		case gwv1.HTTPProtocolType:
			if plain == nil {
				table := graph.TableKey{Scope: b.scope.Key, Port: port}
				plain = []*listenerv3.FilterChain{{Name: "http", Filters: []*listenerv3.Filter{b.connectionManager(table)}}}
			}
		case gwv1.HTTPSProtocolType:
			tls = append(tls, b.https(l))
		case gwv1.TLSProtocolType:
			tls = append(tls, b.tls(l)...)
		case gwv1.TCPProtocolType:
			plain = append(plain, b.tcp(l))
		case gwv1.UDPProtocolType:
			out = append(out, b.udp(l))
		}
	}
	if len(plain)+len(tls) == 0 {
		return out
	}
	l := b.listener(listenerName(b.scope.Key, port), port, portOrigin(b.scope.Key, port))
	if len(tls) > 0 {
		l.ListenerFilters = []*listenerv3.ListenerFilter{tlsInspector()}
	}
	l.FilterChains = append(tls, plain...)
	return append([]*listenerv3.Listener{l}, out...)
}

// listener returns a listener without filter chains.
func (b *listenerBuilder) listener(name string, port int32, origin Origin) *listenerv3.Listener {
	l := &listenerv3.Listener{Name: name, Metadata: origin.metadata(), PerConnectionBufferLimitBytes: wrapperspb.UInt32(bufferLimit)}
	bind(l, b.addresses(), port)
	return l
}

// fleet is what is true of the EnvoyFleet of the scope's Gateways, which is one for all; nil if there is none.
func (b *listenerBuilder) fleet() *graph.EnvoyFleetFacts { return b.scope.Gateways[0].Fleet }

// connectionManager returns the HTTP connection manager that serves a table.
func (b *listenerBuilder) connectionManager(table graph.TableKey) *listenerv3.Filter {
	return connectionManager(table, b.fleet(), b.clusters)
}

// addresses are those that listeners bind: the bindAddress of the fleet, or else those of the Gateways of the scope, each once.
func (b *listenerBuilder) addresses() []string {
	if fleet := b.fleet(); fleet != nil && fleet.Object.Spec.BindAddress != nil {
		return []string{*fleet.Object.Spec.BindAddress}
	}
	var addresses []string
	for _, gw := range b.scope.Gateways {
		for _, a := range gw.Addresses {
			if !slices.Contains(addresses, a) {
				addresses = append(addresses, a)
			}
		}
	}
	return addresses
}

// https returns the filter chain of an HTTPS listener.
func (b *listenerBuilder) https(l servedListener) *listenerv3.FilterChain {
	table := graph.TableKey{Scope: b.scope.Key, Port: int32(l.Spec.Port), Listener: graph.TableName(b.scope.Key, l.Key)}
	return &listenerv3.FilterChain{
		Name:             table.Listener,
		Metadata:         listenerOrigin(l.Key).metadata(),
		FilterChainMatch: tlsMatch(l.Hostname),
		Filters:          []*listenerv3.Filter{b.connectionManager(table)},
		TransportSocket:  downstreamTLS(l.ListenerFacts, clientCAName(gatewayName(l.gateway), int32(l.Spec.Port)), "h2", "http/1.1"),
	}
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

// tlsInspector tells TLS from plain text, and reads the server name from the ClientHello, so that a filter chain can be chosen by
// them.
func tlsInspector() *listenerv3.ListenerFilter {
	return &listenerv3.ListenerFilter{
		Name:       "envoy.filters.listener.tls_inspector",
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: packed(&tlsinspectorv3.TlsInspector{})},
	}
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
