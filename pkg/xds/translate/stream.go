package translate

import (
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// tls returns the filter chains of a TLS listener, one for each server name that its routes tell apart. So a route that comes
// or goes closes no connection of another one.
func (b *listenerBuilder) tls(l servedListener) []*listenerv3.FilterChain {
	by := connector{stream: true, clientCertificate: l.gateway.ClientCertificateSecret()}
	by.passthrough = l.Spec.TLS != nil && deref(l.Spec.TLS.Mode, gwv1.TLSModeTerminate) == gwv1.TLSModePassthrough
	var chains []*listenerv3.FilterChain
	for _, stream := range b.streams[l.Key] {
		chain := &listenerv3.FilterChain{
			Name:             graph.TableName(b.scope.Key, l.Key) + "/" + stream.Key.Domain,
			Metadata:         listenerOrigin(l.Key).metadata(), // see StreamOrigin
			FilterChainMatch: tlsMatch(serverName(stream.Key.Domain)),
			Filters:          b.tcpProxy(l, stream, by),
		}
		if !by.passthrough {
			// No application protocol is offered: which one it is, is between the client and the backend.
			chain.TransportSocket = downstreamTLS(l.ListenerFacts, "")
		}
		chains = append(chains, chain)
	}
	return chains
}

// serverName is how tlsMatch is told of a domain.
func serverName(domain string) string {
	if domain == anyDomain {
		return ""
	}
	return domain
}

// tcp returns the filter chain of a TCP listener.
func (b *listenerBuilder) tcp(l servedListener) *listenerv3.FilterChain {
	by := connector{stream: true, clientCertificate: l.gateway.ClientCertificateSecret()}
	return &listenerv3.FilterChain{
		Name: graph.TableName(b.scope.Key, l.Key), Metadata: listenerOrigin(l.Key).metadata(), Filters: b.tcpProxy(l, b.stream(l), by),
	}
}

// stream returns the one stream of a listener that doesn't tell them apart.
func (b *listenerBuilder) stream(l servedListener) *graph.StreamFacts {
	if streams := b.streams[l.Key]; len(streams) > 0 {
		return streams[0]
	}
	return &graph.StreamFacts{}
}

// streamTimeout closes connections on which nothing is sent or received. It is Envoy's default, and what it recommends for
// edge proxies.
const streamTimeout = time.Hour

// tcpProxy returns what forwards a stream. If no backend can be used, it is no filter: "If the filter list is empty, the
// connection will close by default" (Envoy's FilterChain.filters).
func (b *listenerBuilder) tcpProxy(l servedListener, stream *graph.StreamFacts, by connector) []*listenerv3.Filter {
	s := streamSplit(stream)
	if len(s.valid) == 0 {
		return nil
	}
	proxy := &tcpproxyv3.TcpProxy{
		StatPrefix:  listenerName(b.scope.Key, int32(l.Spec.Port)),
		IdleTimeout: durationpb.New(streamTimeout),
		AccessLog:   accessLogs(b.fleet()),
	}
	if backend := s.only(); backend != nil {
		proxy.ClusterSpecifier = &tcpproxyv3.TcpProxy_Cluster{Cluster: b.clusters.use(by.cluster(backend.BackendFacts))}
	} else {
		weighted := &tcpproxyv3.TcpProxy_WeightedCluster{}
		add := func(cluster string, weight uint32) {
			weighted.Clusters = append(weighted.Clusters, &tcpproxyv3.TcpProxy_WeightedCluster_ClusterWeight{Name: cluster, Weight: weight})
		}
		for _, backend := range s.valid {
			add(b.clusters.use(by.cluster(backend.BackendFacts)), uint32(backend.Weight))
		}
		if s.invalid > 0 {
			// "If an invalid backend is requested to have 80% of connections, then 80% of connections must be rejected": Envoy
			// closes a connection that is for a cluster that it doesn't know.
			add(UnresolvedCluster, s.invalid)
		}
		proxy.ClusterSpecifier = &tcpproxyv3.TcpProxy_WeightedClusters{WeightedClusters: weighted}
	}
	return []*listenerv3.Filter{{
		Name:       "envoy.filters.network.tcp_proxy",
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed(proxy)},
	}}
}

// streamSplit is how a stream is shared among the backends of its first route, whose first rule takes everything.
func streamSplit(stream *graph.StreamFacts) backendSplit {
	r := &rule{}
	if len(stream.Routes) > 0 && len(stream.Routes[0].Rules) > 0 {
		facts := &stream.Routes[0].Rules[0]
		for i := range facts.Backends {
			r.backends = append(r.backends, backend{BackendFacts: &facts.Backends[i]})
		}
	}
	return split(r)
}
