package translate

import (
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// tls returns the filter chains of a TLS listener, one for each server name that its routes tell apart.
func (b *listenerBuilder) tls(l servedListener) []*listenerv3.FilterChain {
	var chains []*listenerv3.FilterChain
	for _, stream := range b.streams[l.Key] {
		chain := &listenerv3.FilterChain{
			Name:             graph.TableName(b.scope.Key, l.Key) + "/" + stream.Key.Domain,
			FilterChainMatch: tlsMatch(serverName(stream.Key.Domain)),
			Filters:          b.tcpProxy(l, stream),
		}
		if len(l.Certificates) > 0 {
			chain.TransportSocket = downstreamTLS(l.ListenerFacts, "")
		}
		chains = append(chains, chain)
	}
	return chains
}

// serverName is how tlsMatch is told of a domain.
func serverName(domain string) string {
	if domain == "*" {
		return ""
	}
	return domain
}

// tcp returns the filter chain of a TCP listener.
func (b *listenerBuilder) tcp(l servedListener) *listenerv3.FilterChain {
	return &listenerv3.FilterChain{Name: graph.TableName(b.scope.Key, l.Key), Filters: b.tcpProxy(l, b.stream(l))}
}

// stream returns the one stream of a listener that doesn't tell them apart.
func (b *listenerBuilder) stream(l servedListener) *graph.StreamFacts {
	if streams := b.streams[l.Key]; len(streams) > 0 {
		return streams[0]
	}
	return &graph.StreamFacts{}
}

// tcpProxy returns what forwards a stream: no filter, which closes connections, if no backend can be used.
func (b *listenerBuilder) tcpProxy(l servedListener, stream *graph.StreamFacts) []*listenerv3.Filter {
	s := streamSplit(stream)
	if len(s.valid) == 0 {
		return nil
	}
	proxy := &tcpproxyv3.TcpProxy{StatPrefix: listenerName(b.scope.Key, int32(l.Spec.Port)), IdleTimeout: durationpb.New(time.Hour)}
	by := connector{clientCertificate: l.gateway.ClientCertificateSecret()}
	if len(s.valid) == 1 && s.invalid == 0 {
		proxy.ClusterSpecifier = &tcpproxyv3.TcpProxy_Cluster{Cluster: b.clusters.use(by.cluster(s.valid[0].BackendFacts))}
	} else {
		weighted := &tcpproxyv3.TcpProxy_WeightedCluster{}
		for _, backend := range s.valid {
			weighted.Clusters = append(weighted.Clusters, &tcpproxyv3.TcpProxy_WeightedCluster_ClusterWeight{
				Name: b.clusters.use(by.cluster(backend.BackendFacts)), Weight: uint32(backend.Weight),
			})
		}
		if s.invalid > 0 {
			// "If an invalid backend is requested to have 80% of connections, then 80% of connections must be rejected".
			weighted.Clusters = append(weighted.Clusters, &tcpproxyv3.TcpProxy_WeightedCluster_ClusterWeight{Name: unresolvedCluster, Weight: s.invalid})
		}
		proxy.ClusterSpecifier = &tcpproxyv3.TcpProxy_WeightedClusters{WeightedClusters: weighted}
	}
	return []*listenerv3.Filter{{
		Name:       "envoy.filters.network.tcp_proxy",
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed(proxy)},
	}}
}

// streamSplit is how the connections of a stream are shared among the backends of its oldest route.
func streamSplit(stream *graph.StreamFacts) backendSplit {
	if len(stream.Routes) == 0 {
		return backendSplit{}
	}
	r := &rule{}
	for i := range stream.Routes[0].Rules {
		facts := &stream.Routes[0].Rules[i]
		for j := range facts.Backends {
			r.backends = append(r.backends, backend{BackendFacts: &facts.Backends[j]})
		}
	}
	return split(r)
}
