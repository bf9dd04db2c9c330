package engine

import (
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	resource "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/translate"
)

// MeshScope is the scope of proxyless clients of the mesh, and SidecarScope that of sidecars. Those of single namespaces lie over
// them, and have what their consumer routes make different.
const (
	MeshScope    = nodes.MeshScope
	SidecarScope = nodes.SidecarScope
)

// GatewayScope is the scope of the nodes of a Gateway.
func GatewayScope(gateway types.NamespacedName) string { return nodes.GatewayScope(gateway.String()) }

// FleetScope is the scope of the nodes of an EnvoyFleet that merges its Gateways.
func FleetScope(fleet types.NamespacedName) string { return nodes.FleetScope(fleet.String()) }

// scopeName returns the name by which the nodes of a scope are served.
func scopeName(key graph.Key) string {
	if key.Kind == graph.KindEnvoyFleet {
		return FleetScope(key.NamespacedName())
	}
	return GatewayScope(key.NamespacedName())
}

// publisher keeps what is published and brings it up to date with what is dirty in the graph. What several scopes need
// (clusters, endpoints) is encoded once.
type publisher struct {
	xds    *cache.Cache
	nodes  *nodes.Directory
	scopes map[string]*scope
	// users are the scopes that need a cluster.
	users map[translate.ClusterKey]map[*scope]bool
	// ports are the clusters in use of each port of a Service or an XBackend.
	ports map[graph.BackendKey]map[translate.ClusterKey]bool
	// clusters are the encoded resources in use, and shared what all clusters of a port share.
	clusters map[translate.ClusterKey]*cache.Resource
	shared   map[graph.BackendKey][]*cache.Resource
	// lint is nil unless what is published is looked at.
	lint *linter
}

// scope is what the nodes of a Gateway, or of the mesh, are told.
type scope struct {
	name string
	// wanted says that the scope exists: a Gateway of it is there and ours.
	wanted bool
	// update collects what one publication changes.
	update cache.Update
	// named are the listeners and secrets of Gateways that are published.
	named map[cache.Name]bool
	// streamed are the clusters that those listeners forward to themselves.
	streamed []translate.ClusterKey
	// tables are the route tables, and changed those of them that have to be published anew, or withdrawn.
	tables, changed map[graph.TableKey]*table
	// needs counts what needs a cluster: virtual hosts, the listeners together, or hosts of the mesh.
	needs map[translate.ClusterKey]int
	// clusters are those that have to be published anew, or withdrawn.
	clusters map[translate.ClusterKey]bool
	// shared names what is published of the ports of its clusters, besides the clusters.
	shared map[graph.BackendKey][]cache.Name
	// mesh is what there is for each host of the mesh.
	mesh map[graph.BackendKey]meshHost
}

func newPublisher(xds *cache.Cache) *publisher {
	p := &publisher{
		xds:      xds,
		nodes:    &nodes.Directory{},
		scopes:   map[string]*scope{},
		users:    map[translate.ClusterKey]map[*scope]bool{},
		ports:    map[graph.BackendKey]map[translate.ClusterKey]bool{},
		clusters: map[translate.ClusterKey]*cache.Resource{},
		shared:   map[graph.BackendKey][]*cache.Resource{},
	}
	sidecars := p.scope(SidecarScope)
	passthrough := translate.Passthrough()
	sidecars.update.Set = []*cache.Resource{encode(resource.ClusterType, passthrough.GetName(), passthrough)}
	p.outbound(graph.SidecarFacts{}, sidecars)
	for _, base := range nodes.Bases() {
		s := p.scope(base)
		s.wanted = true
		p.flush(s)
	}
	return p
}

// publish translates what is dirty and publishes the difference to what was published before. Nodes that are to have another
// scope leave the one that they have after the other one is published, and before theirs is withdrawn. It returns the names of
// the scopes that it has looked at.
func (p *publisher) publish(g *graph.Graph, dirty graph.Dirty) []string {
	touched := map[*scope]bool{}
	for key := range dirty.Scopes {
		touched[p.listeners(g, key)] = true
	}
	for key := range dirty.VirtualHosts {
		s := p.scope(scopeName(key.Table.Scope))
		p.virtualHost(g, s, key)
		touched[s] = true
	}
	for key := range dirty.MeshHosts {
		facts := g.MeshHost(key)
		for base, translated := range map[string]translatedHost{MeshScope: proxylessHost(facts), SidecarScope: sidecarHost(facts)} {
			s := p.scope(meshScope(base, key))
			p.meshHost(g, s, key.BackendKey, translated)
			touched[s] = true
		}
	}
	if dirty.Sidecars {
		s := p.scope(SidecarScope)
		p.outbound(g.Sidecar(), s)
		touched[s] = true
	}
	// Last, when nothing uses the ports that are gone any more.
	for key := range dirty.Backends {
		for _, s := range p.backend(g, key) {
			touched[s] = true
		}
	}
	var gone []*scope
	for s := range touched {
		p.assemble(s)
		if !s.wanted && s.empty() {
			gone = append(gone, s)
			continue
		}
		p.flush(s)
	}
	p.publishNodes(g, dirty.Fleets)
	for _, s := range gone {
		p.xds.Withdraw(s.name)
		if p.lint != nil {
			p.lint.scope(s.name)
		}
		delete(p.scopes, s.name)
	}
	names := make([]string, 0, len(touched))
	for s := range touched {
		names = append(names, s.name)
	}
	return names
}

// flush publishes a scope even if there is nothing in it, so that its nodes are told so and don't wait.
func (p *publisher) flush(s *scope) {
	p.xds.Publish(s.name, s.update)
	s.update = cache.Update{}
	if p.lint != nil {
		p.lint.scope(s.name)
	}
}

// publishNodes publishes which nodes are those of EnvoyFleets.
func (p *publisher) publishNodes(g *graph.Graph, fleets map[types.NamespacedName]struct{}) {
	changes := map[string]*nodes.Fleet{}
	for name := range fleets {
		changes[name.String()] = nodesOf(g.FleetNodes(name))
	}
	p.nodes.Publish(changes)
}

// nodesOf returns nil if there is no such fleet.
func nodesOf(facts *graph.FleetNodesFacts) *nodes.Fleet {
	if facts == nil {
		return nil
	}
	fleet := &nodes.Fleet{Merged: facts.Merged}
	for _, s := range facts.Selectors {
		fleet.Selectors = append(fleet.Selectors, nodes.Selector{ID: s.ID, Cluster: s.Cluster, Metadata: s.Metadata})
	}
	for _, gateway := range facts.Gateways {
		fleet.Gateways = append(fleet.Gateways, gateway.String())
	}
	return fleet
}

func (p *publisher) scope(name string) *scope {
	s := p.scopes[name]
	if s == nil {
		s = &scope{
			name:     name,
			named:    map[cache.Name]bool{},
			tables:   map[graph.TableKey]*table{},
			changed:  map[graph.TableKey]*table{},
			needs:    map[translate.ClusterKey]int{},
			clusters: map[translate.ClusterKey]bool{},
			shared:   map[graph.BackendKey][]cache.Name{},
			mesh:     map[graph.BackendKey]meshHost{},
		}
		p.scopes[name] = s
	}
	return s
}

// empty says that nothing of s is published, or will be once s.update is.
func (s *scope) empty() bool {
	return len(s.named)+len(s.tables)+len(s.needs)+len(s.mesh) == 0
}

// listeners translates the listeners and secrets of a scope.
func (p *publisher) listeners(g *graph.Graph, key graph.Key) *scope {
	s := p.scope(scopeName(key))
	published := map[cache.Name]bool{}
	facts := g.Scope(key)
	s.wanted = facts != nil
	released := s.streamed
	s.streamed = nil
	if s.wanted {
		var listeners []*listenerv3.Listener
		listeners, s.streamed = translate.Listeners(facts)
		for _, l := range listeners {
			s.set(published, encode(resource.ListenerType, l.GetName(), l))
		}
		for _, secret := range translate.Secrets(facts) {
			s.set(published, encode(resource.SecretType, secret.GetName(), secret))
		}
	}
	p.need(g, s, s.streamed)
	p.release(s, released)
	s.named = s.replace(s.named, published)
	return s
}

// replace deletes what was published before and isn't any more, and returns what is.
func (s *scope) replace(before, published map[cache.Name]bool) map[cache.Name]bool {
	for old := range before {
		if !published[old] {
			s.update.Delete = append(s.update.Delete, old)
		}
	}
	return published
}

func (s *scope) set(published map[cache.Name]bool, r *cache.Resource) {
	published[cache.Name{TypeURL: r.TypeURL(), Name: r.Name()}] = true
	s.update.Set = append(s.update.Set, r)
}

// virtualHost translates a virtual host, or drops it if it is no more.
func (p *publisher) virtualHost(g *graph.Graph, s *scope, key graph.VirtualHostKey) {
	t := s.tables[key.Table]
	if t == nil {
		t = newTable(key.Table)
		s.tables[key.Table] = t
	}
	s.changed[key.Table] = t
	var encoded []byte
	var clusters []translate.ClusterKey
	if facts := g.VirtualHost(key); facts != nil {
		var host *routev3.VirtualHost
		host, clusters = translate.VirtualHost(facts)
		encoded = marshal(host)
	}
	before := t.set(key.Domain, encoded, clusters)
	p.need(g, s, clusters)
	p.release(s, before)
}

// assemble adds to the update of s the RouteConfigurations of the tables whose virtual hosts changed, and the clusters
// that are needed, or not any more.
func (p *publisher) assemble(s *scope) {
	for key, t := range s.changed {
		if r := t.assemble(key); r != nil {
			s.update.Set = append(s.update.Set, r)
			continue
		}
		delete(s.tables, key)
		s.update.Delete = append(s.update.Delete, cache.Name{TypeURL: resource.RouteType, Name: translate.RouteConfigurationName(key)})
	}
	clear(s.changed)
	for key := range s.clusters {
		if s.needs[key] > 0 {
			s.update.Set = append(s.update.Set, p.clusters[key])
		} else {
			s.update.Delete = append(s.update.Delete, cache.Name{TypeURL: resource.ClusterType, Name: key.String()})
		}
		p.assembleShared(s, key.BackendKey)
	}
	clear(s.clusters)
}

// encode makes a cache resource of a message. Encoding is deterministic, so that equal content has equal versions.
func encode(typeURL, name string, m proto.Message) *cache.Resource {
	return cache.NewResource(typeURL, name, marshal(m))
}

// marshal encodes a message that this process built: it cannot fail, short of a bug.
func marshal(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}
