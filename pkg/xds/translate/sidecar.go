package translate

import (
	"net/netip"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	originaldstv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// A sidecar is an Envoy beside a workload, through which the workload's outbound connections are redirected. It finds out where
// each was going (SO_ORIGINAL_DST), and hands it to the listener of that address and port if there is one: those of Services with
// routes. All others go on to where they were going. It changes nothing of a request but what routes say.

// outboundPort is where the connections of a workload have to be redirected to, on loopback, so that no other host gets there.
const outboundPort = 15001

// passthroughName is the name of the cluster that has the connections go on. It cannot be a ClusterKey's: those contain a slash.
const passthroughName = "passthrough"

// Outbound returns the listeners that connections are redirected to: one for each IP family that Services have addresses of. An
// Envoy couldn't bind one of a family that its host doesn't have, so that IPv6 is left out until a Service shows that there is.
func Outbound(f graph.SidecarFacts) []*listenerv3.Listener {
	listeners := []*listenerv3.Listener{outbound("outbound", "127.0.0.1")}
	if f.IPv6 {
		listeners = append(listeners, outbound("outbound-ipv6", "::1"))
	}
	return listeners
}

func outbound(name, loopback string) *listenerv3.Listener {
	return &listenerv3.Listener{
		Name:    name,
		Address: socketAddress(loopback, outboundPort),
		ListenerFilters: []*listenerv3.ListenerFilter{{
			Name:       "envoy.filters.listener.original_dst",
			ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: packed(&originaldstv3.OriginalDst{})},
		}},
		UseOriginalDst:     wrapperspb.Bool(true),
		FilterChains:       []*listenerv3.FilterChain{toItself(loopback)},
		DefaultFilterChain: &listenerv3.FilterChain{Name: passthroughName, Filters: []*listenerv3.Filter{passOn()}},
	}
}

// toItself closes connections that were not redirected, but made to the listener's own address: a filter chain without filters
// does so. Wherever the kernel tracks connections, Envoy takes that address for the one that they were going to (original_dst), and
// would pass them on to itself without end.
func toItself(loopback string) *listenerv3.FilterChain {
	address := netip.MustParseAddr(loopback)
	return &listenerv3.FilterChain{Name: "itself", FilterChainMatch: &listenerv3.FilterChainMatch{
		DestinationPort: wrapperspb.UInt32(outboundPort),
		PrefixRanges:    []*corev3.CidrRange{{AddressPrefix: loopback, PrefixLen: wrapperspb.UInt32(uint32(address.BitLen()))}},
	}}
}

// Passthrough returns the cluster that has connections go on to where they were going.
func Passthrough() *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 passthroughName,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST},
		LbPolicy:             clusterv3.Cluster_CLUSTER_PROVIDED,
		ConnectTimeout:       durationpb.New(10 * time.Second),
		CircuitBreakers:      streamLimits(),
	}
}

// passOn has a connection go on to where it was going. It isn't for a proxy that nobody sees to end it when it is silent.
func passOn() *listenerv3.Filter {
	return &listenerv3.Filter{
		Name: "envoy.filters.network.tcp_proxy",
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed(&tcpproxyv3.TcpProxy{
			StatPrefix:       passthroughName,
			ClusterSpecifier: &tcpproxyv3.TcpProxy_Cluster{Cluster: passthroughName},
			IdleTimeout:      durationpb.New(0), // none
		})},
	}
}

// A SidecarHost is a port of a Service as sidecars get it.
type SidecarHost struct {
	Listener *listenerv3.Listener
	Routes   *routev3.RouteConfiguration
	Clusters []ClusterKey // that the routes use, sorted
}

// NewSidecarHost returns what sidecars get for a port of a Service: nil if it has no routes, or no address.
//
// The listener has no socket, and takes over what was redirected on the way to the Service's addresses. Who asks a Service for
// something is told by these, "not Host": a route is for the Service, by whatever name it is called.
func NewSidecarHost(m *graph.MeshHostFacts) *SidecarHost {
	if len(m.Routes) == 0 || len(m.Addresses) == 0 {
		return nil
	}
	facts := &graph.VirtualHostFacts{
		Key:    graph.VirtualHostKey{Table: graph.TableKey{Scope: m.Key.Key, Port: m.Key.Port}, Domain: "*"},
		Routes: m.Routes,
	}
	host, clusters := VirtualHost(facts)
	name := meshRoutesName(m)
	return &SidecarHost{
		Listener: sidecarListener(m, name),
		Routes:   &routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{host}, Metadata: originOf(m.Key.Key).metadata()},
		Clusters: clusters,
	}
}

func sidecarListener(m *graph.MeshHostFacts, routes string) *listenerv3.Listener {
	l := &listenerv3.Listener{
		Name:       m.Key.String(),
		Metadata:   originOf(m.Key.Key).metadata(),
		BindToPort: wrapperspb.Bool(false),
		// A route without a port is for all those of the Service, among them that of TLS: what can't be read goes on.
		ListenerFilters: []*listenerv3.ListenerFilter{tlsInspector()},
		FilterChains: []*listenerv3.FilterChain{
			{Name: passthroughName, FilterChainMatch: tlsMatch(""), Filters: []*listenerv3.Filter{passOn()}},
			{Name: "http", Filters: []*listenerv3.Filter{sidecarManager(routes)}},
		},
	}
	bind(l, m.Addresses, m.Key.Port)
	return l
}

// sidecarManager returns the HTTP connection manager that serves the routes of a port. Unlike those of Gateways, it doesn't
// defend anybody: who sends the requests is the workload that it belongs to. So it has none of the settings for edge proxies, and
// leaves alone what these change.
func sidecarManager(routes string) *listenerv3.Filter {
	return &listenerv3.Filter{
		Name: "envoy.filters.network.http_connection_manager",
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed(&hcmv3.HttpConnectionManager{
			StatPrefix: routes,
			CodecType:  hcmv3.HttpConnectionManager_AUTO, // HTTP/1.1, or HTTP/2 by prior knowledge
			// Not inline: a change of routes leaves the listener, and with it the connections, as they are.
			RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: adsSource(), RouteConfigName: routes}},
			HttpFilters:    append(routeFilters(), routerFilter(&routerv3.Router{SuppressEnvoyHeaders: true})),
			// The address of the client stays that of whoever the workload works for.
			UseRemoteAddress:      wrapperspb.Bool(false),
			InternalAddressConfig: &hcmv3.HttpConnectionManager_InternalAddressConfig{},
			GenerateRequestId:     wrapperspb.Bool(false),
			// Without any, a request may take as long as it takes.
			CommonHttpProtocolOptions:  &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(time.Hour)},
			StreamIdleTimeout:          durationpb.New(0), // none
			ServerHeaderTransformation: hcmv3.HttpConnectionManager_PASS_THROUGH,
			UpgradeConfigs:             []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: webSocket}},
		})},
	}
}
