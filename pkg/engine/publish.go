package engine

import (
	"slices"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
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

// meshScope returns the scope in which a host of the mesh is published; base is that of all namespaces.
func meshScope(base string, key graph.MeshHostKey) string {
	if key.Consumer == "" {
		return base
	}
	return nodes.ConsumerScope(base, key.Consumer)
}

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
	// tables are the route tables, with their virtual hosts encoded.
	tables map[graph.TableKey]*table
	// needs counts what needs a cluster: virtual hosts, the listeners together, or hosts of the mesh.
	needs map[translate.ClusterKey]int
	// clusters are those that have to be published anew, or withdrawn.
	clusters map[translate.ClusterKey]bool
	// shared names what is published of the ports of its clusters, besides the clusters.
	shared map[graph.BackendKey][]cache.Name
	// mesh is what there is for each host of the mesh.
	mesh map[graph.BackendKey]meshHost
}

type table struct {
	domains []string // sorted: the order in the RouteConfiguration
	hosts   map[string]virtualHost
	dirty   bool
}

type virtualHost struct {
	encoded  []byte
	clusters []translate.ClusterKey
}

type meshHost struct {
	named    map[cache.Name]bool // listeners, and route tables and empty clusters of their own
	clusters []translate.ClusterKey
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
// scope leave the one that they have after the other one is published, and before theirs is withdrawn.
func (p *publisher) publish(g *graph.Graph, dirty graph.Dirty) {
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

// outbound translates the listeners that sidecars have whatever routes there are.
func (p *publisher) outbound(facts graph.SidecarFacts, s *scope) {
	published := map[cache.Name]bool{}
	for _, l := range translate.Outbound(facts) {
		s.set(published, encode(resource.ListenerType, l.GetName(), l))
	}
	s.named = s.replace(s.named, published)
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
		t = &table{hosts: map[string]virtualHost{}}
		s.tables[key.Table] = t
	}
	t.dirty = true
	old, existed := t.hosts[key.Domain]
	at, _ := slices.BinarySearch(t.domains, key.Domain)
	facts := g.VirtualHost(key)
	if facts == nil {
		if existed {
			delete(t.hosts, key.Domain)
			t.domains = slices.Delete(t.domains, at, at+1)
		}
		p.release(s, old.clusters)
		return
	}
	host, clusters := translate.VirtualHost(facts)
	t.hosts[key.Domain] = virtualHost{encoded: marshal(host), clusters: clusters}
	if !existed {
		t.domains = slices.Insert(t.domains, at, key.Domain)
	}
	p.need(g, s, clusters)
	p.release(s, old.clusters)
}

// translatedHost is what some clients of the mesh get for a host.
type translatedHost struct {
	resources []*cache.Resource
	clusters  []translate.ClusterKey
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

// need counts a use of each of the clusters in s.
func (p *publisher) need(g *graph.Graph, s *scope, clusters []translate.ClusterKey) {
	for _, key := range clusters {
		s.needs[key]++
		if s.needs[key] > 1 {
			continue
		}
		s.clusters[key] = true
		if p.users[key] == nil {
			p.users[key] = map[*scope]bool{}
			if p.ports[key.BackendKey] == nil {
				p.ports[key.BackendKey] = map[translate.ClusterKey]bool{}
			}
			p.ports[key.BackendKey][key] = true
			p.encodeBackend(g, key.BackendKey)
		}
		p.users[key][s] = true
	}
}

// release is the reverse of need.
func (p *publisher) release(s *scope, clusters []translate.ClusterKey) {
	for _, key := range clusters {
		s.needs[key]--
		if s.needs[key] > 0 {
			continue
		}
		delete(s.needs, key)
		s.clusters[key] = true
		delete(p.users[key], s)
		if len(p.users[key]) == 0 {
			delete(p.users, key)
			delete(p.clusters, key)
			delete(p.ports[key.BackendKey], key)
		}
		if len(p.ports[key.BackendKey]) == 0 {
			delete(p.ports, key.BackendKey)
			delete(p.shared, key.BackendKey)
		}
	}
}

// backend translates a port anew, if a cluster of it is in use, and returns the scopes that use it.
func (p *publisher) backend(g *graph.Graph, port graph.BackendKey) []*scope {
	if len(p.ports[port]) == 0 {
		return nil
	}
	p.encodeBackend(g, port)
	var touched []*scope
	for key := range p.ports[port] {
		for s := range p.users[key] {
			s.clusters[key] = true
			touched = append(touched, s)
		}
	}
	return touched
}

// encodeBackend encodes the clusters in use of a port and what they share. The port exists: what used one that is gone was
// dirty too, and has released it by now.
func (p *publisher) encodeBackend(g *graph.Graph, port graph.BackendKey) {
	facts := g.BackendPort(port)
	for key := range p.ports[port] {
		p.clusters[key] = encode(resource.ClusterType, key.String(), translate.Cluster(key, facts))
	}
	p.shared[port] = encodeShared(facts)
}

// encodeShared encodes what all clusters of a port share: endpoints, unless Envoy finds them itself, and what these are shown.
func encodeShared(port *graph.BackendPortFacts) []*cache.Resource {
	var shared []*cache.Resource
	if endpoints := translate.ClusterLoadAssignment(port); endpoints != nil {
		shared = append(shared, encode(resource.EndpointType, endpoints.GetClusterName(), endpoints))
	}
	if secret := translate.BackendSecret(port); secret != nil {
		shared = append(shared, encode(resource.SecretType, secret.GetName(), secret))
	}
	return shared
}

// assemble adds to the update of s the RouteConfigurations of the tables whose virtual hosts changed, and the clusters
// that are needed, or not any more.
func (p *publisher) assemble(s *scope) {
	for key, t := range s.tables {
		if !t.dirty {
			continue
		}
		t.dirty = false
		name := translate.RouteConfigurationName(key)
		if len(t.domains) == 0 {
			delete(s.tables, key)
			s.update.Delete = append(s.update.Delete, cache.Name{TypeURL: resource.RouteType, Name: name})
			continue
		}
		hosts := make([][]byte, len(t.domains))
		for i, domain := range t.domains {
			hosts[i] = t.hosts[domain].encoded
		}
		s.update.Set = append(s.update.Set, cache.NewResource(resource.RouteType, name, translate.RouteConfiguration(key, hosts)))
	}
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

// assembleShared adds to the update of s what the clusters of a port share, if it needs any, and withdraws what they don't any
// more.
func (p *publisher) assembleShared(s *scope, port graph.BackendKey) {
	before := s.shared[port]
	delete(s.shared, port)
	if p.needsPort(s, port) {
		for _, r := range p.shared[port] {
			s.update.Set = append(s.update.Set, r)
			s.shared[port] = append(s.shared[port], cache.Name{TypeURL: r.TypeURL(), Name: r.Name()})
		}
	}
	for _, name := range before {
		if !slices.Contains(s.shared[port], name) {
			s.update.Delete = append(s.update.Delete, name)
		}
	}
}

// needsPort says that s needs a cluster of a port, whatever its protocol.
func (p *publisher) needsPort(s *scope, port graph.BackendKey) bool {
	for key := range p.ports[port] {
		if s.needs[key] > 0 {
			return true
		}
	}
	return false
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
