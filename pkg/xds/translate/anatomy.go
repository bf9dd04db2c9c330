package translate

import (
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// anatomy is a resource in parts: on each level all of it, the finest level first and the resource as a whole last.
type anatomy [][]piece

// piece is a part of a resource.
type piece struct {
	// names are those by which a message may call it.
	names   []string
	content string
	origins []Origin
}

// dissect returns the anatomy of a resource; nil if it can't be read.
func dissect(typeURL string, value []byte) anatomy {
	var m proto.Message
	switch typeURL {
	case resource.ClusterType:
		m = &clusterv3.Cluster{}
	case resource.EndpointType:
		m = &endpointv3.ClusterLoadAssignment{}
	case resource.SecretType:
		m = &tlsv3.Secret{}
	case resource.ListenerType:
		m = &listenerv3.Listener{}
	case resource.RouteType:
		m = &routev3.RouteConfiguration{}
	default:
		return nil
	}
	if proto.Unmarshal(value, m) != nil {
		return nil
	}
	whole := piece{content: string(value)}
	switch m := m.(type) {
	case *clusterv3.Cluster:
		whole.origins = origins(m)
		return anatomy{clusterPieces(m), {whole}}
	case *listenerv3.Listener:
		whole.origins = origins(m)
		if m.GetApiListener() == nil {
			return anatomy{chainPieces(m, whole.origins), {whole}}
		}
		manager := &hcmv3.HttpConnectionManager{}
		if m.ApiListener.ApiListener.UnmarshalTo(manager) != nil {
			return anatomy{nil, {whole}}
		}
		routes, hosts := routePieces(manager.GetRouteConfig(), whole.origins)
		return anatomy{routes, hosts, {whole}}
	case *routev3.RouteConfiguration:
		whole.origins = origins(m)
		routes, hosts := routePieces(m, whole.origins)
		return anatomy{routes, hosts, {whole}}
	case *tlsv3.Secret:
		whole.origins = named(secretOrigin(m.GetName()))
	case *endpointv3.ClusterLoadAssignment:
		whole.origins = named(endpointsOrigin(m.GetClusterName()))
	}
	return anatomy{{whole}}
}

func origins(m interface{ GetMetadata() *corev3.Metadata }) []Origin {
	return named(originIn(m.GetMetadata()))
}

func named(o Origin, ok bool) []Origin {
	if !ok {
		return nil
	}
	return []Origin{o}
}

// originsOr returns what the metadata of a part say, or else those of what it belongs to.
func originsOr(m interface{ GetMetadata() *corev3.Metadata }, outer []Origin) []Origin {
	if own := origins(m); own != nil {
		return own
	}
	return outer
}

// routePieces returns the routes of a table, and its virtual hosts.
func routePieces(table *routev3.RouteConfiguration, outer []Origin) (routes, hosts []piece) {
	for _, vh := range table.GetVirtualHosts() {
		host := piece{names: append([]string{vh.GetName()}, vh.GetDomains()...), content: content(vh)}
		for _, r := range vh.GetRoutes() {
			route := piece{
				names:   append([]string{r.GetName()}, host.names...),
				content: vh.GetName() + "\x00" + content(r),
				origins: originsOr(r, outer),
			}
			routes = append(routes, route)
			host.origins = append(host.origins, route.origins...)
		}
		if len(host.origins) == 0 {
			host.origins = outer
		}
		hosts = append(hosts, host)
	}
	return routes, hosts
}

// chainPieces returns the filter chains of a listener in the parts that different objects may have made: the TLS that the listener
// terminates, and where a route has the connections go. A UDP listener has filters in place of a chain.
func chainPieces(l *listenerv3.Listener, outer []Origin) []piece {
	if l.GetAddress().GetSocketAddress().GetProtocol() == corev3.SocketAddress_UDP {
		filters := &listenerv3.Listener{ListenerFilters: l.GetListenerFilters()}
		return []piece{{content: content(filters), origins: streamOrigins(outer, nil)}}
	}
	var pieces []piece
	for _, chain := range l.GetFilterChains() {
		domains := chain.GetFilterChainMatch().GetServerNames()
		names := append([]string{chain.GetName()}, domains...)
		of := originsOr(chain, outer)
		if chain.TransportSocket != nil {
			pieces = append(pieces, piece{names: names, content: chain.GetName() + "\x00" + content(chain.TransportSocket), origins: of})
			chain.TransportSocket = nil
		}
		if !readsHTTP(chain) {
			of = streamOrigins(of, domains)
		}
		pieces = append(pieces, piece{names: names, content: content(chain), origins: of})
	}
	return pieces
}

// readsHTTP says that a filter chain is one of requests, whose routes are in a resource of their own.
func readsHTTP(chain *listenerv3.FilterChain) bool {
	return slices.ContainsFunc(chain.GetFilters(), func(f *listenerv3.Filter) bool {
		return f.GetTypedConfig().MessageIs((*hcmv3.HttpConnectionManager)(nil))
	})
}

// streamOrigins returns the StreamOrigin of what a listener forwards for server names, of which it has one or none. The listeners of
// sidecars forward what no route is for.
func streamOrigins(listener []Origin, domains []string) []Origin {
	domain := anyDomain
	if len(domains) > 0 {
		domain = domains[0]
	}
	of := slices.Clone(listener)
	for i := range of {
		if of[i].Listener != "" {
			of[i].Domain = domain
		}
	}
	return of
}

// clusterPieces returns a cluster in the parts that different objects may have made: policies and the backend.
func clusterPieces(c *clusterv3.Cluster) []piece {
	backend := origins(c)
	var pieces []piece
	add := func(part proto.Message, kind graph.Kind, policy string) {
		p := piece{content: content(part), origins: slices.Clone(backend)}
		if name := said(c.GetMetadata(), policy); name != "" && len(backend) > 0 {
			p.origins = []Origin{{Kind: kind, Namespace: backend[0].Namespace, Name: name}}
		}
		pieces = append(pieces, p)
	}
	if c.TransportSocket != nil {
		add(c.TransportSocket, graph.KindBackendTLSPolicy, originTLSPolicy)
	}
	if c.CircuitBreakers != nil {
		add(c.CircuitBreakers, graph.KindBackendTrafficPolicy, originTrafficPolicy)
	}
	c.TransportSocket, c.CircuitBreakers, c.Metadata = nil, nil, nil
	return append(pieces, piece{content: content(c), origins: backend})
}

// content encodes a part, so that equal ones are found.
func content(m proto.Message) string {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err) // it has just been decoded
	}
	return string(b)
}
