package engine

import (
	resource "github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/translate"
)

// meshScope returns the scope in which a host of the mesh is published; base is that of all namespaces.
func meshScope(base string, key graph.MeshHostKey) string {
	if key.Consumer == "" {
		return base
	}
	return nodes.ConsumerScope(base, key.Consumer)
}

type meshHost struct {
	named    map[cache.Name]bool // listeners, and route tables and empty clusters of their own
	clusters []translate.ClusterKey
}

// translatedHost is what some clients of the mesh get for a host.
type translatedHost struct {
	resources []*cache.Resource
	clusters  []translate.ClusterKey
}

// outbound translates the listeners that sidecars have whatever routes there are.
func (p *publisher) outbound(facts graph.SidecarFacts, s *scope) {
	published := map[cache.Name]bool{}
	for _, l := range translate.Outbound(facts) {
		s.set(published, encode(resource.ListenerType, l.GetName(), l))
	}
	s.named = s.replace(s.named, published)
}

// proxylessHost is what proxyless clients get; nothing if there is no such host.
func proxylessHost(facts *graph.MeshHostFacts) translatedHost {
	if facts == nil {
		return translatedHost{}
	}
	listeners, clusters, empty := translate.MeshListeners(facts)
	out := translatedHost{clusters: clusters}
	for _, l := range listeners {
		out.resources = append(out.resources, encode(resource.ListenerType, l.GetName(), l))
	}
	if empty != nil {
		out.resources = append(out.resources, encode(resource.ClusterType, empty.Cluster.GetName(), empty.Cluster),
			encode(resource.EndpointType, empty.Endpoints.GetClusterName(), empty.Endpoints))
	}
	return out
}

// sidecarHost is what sidecars get; nothing if what is sent there just passes through.
func sidecarHost(facts *graph.MeshHostFacts) translatedHost {
	if facts == nil {
		return translatedHost{}
	}
	host := translate.NewSidecarHost(facts)
	if host == nil {
		return translatedHost{}
	}
	return translatedHost{clusters: host.Clusters, resources: []*cache.Resource{
		encode(resource.ListenerType, host.Listener.GetName(), host.Listener),
		encode(resource.RouteType, host.Routes.GetName(), host.Routes),
	}}
}

// meshHost publishes a host of the mesh, or drops it if there is nothing for it any more.
func (p *publisher) meshHost(g *graph.Graph, s *scope, key graph.BackendKey, host translatedHost) {
	old := s.mesh[key]
	published := map[cache.Name]bool{}
	for _, r := range host.resources {
		s.set(published, r)
	}
	s.mesh[key] = meshHost{s.replace(old.named, published), host.clusters}
	if len(host.resources) == 0 {
		delete(s.mesh, key)
	}
	p.need(g, s, host.clusters)
	p.release(s, old.clusters)
}
