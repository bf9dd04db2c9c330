package graph

import (
	"cmp"
	"slices"
)

// A placement is where a route counts and serves. Each list is sorted and holds nothing twice.
type placement struct {
	listeners    []ListenerKey // that have accepted the route
	virtualHosts []VirtualHostKey
	streams      []placedStream
	meshHosts    []MeshHostKey
	uses         []use
}

// placedStream is a stream and the scope that it is served in.
type placedStream struct {
	scope Key
	key   StreamKey
}

// placementOf finds the places of a route from its parents.
func (g *Graph) placementOf(f *RouteFacts) placement {
	var p placement
	for i := range f.Parents {
		parent := &f.Parents[i]
		for _, port := range parent.ServicePorts {
			key := MeshHostKey{BackendKey: ServiceBackend(*parent.Service, port)}
			if parent.Consumer(f.Key) {
				key.Consumer = f.Key.Namespace
			}
			p.meshHosts = append(p.meshHosts, key)
		}
		for _, a := range parent.Attachments {
			p.listeners = append(p.listeners, a.Listener)
			g.serve(&p, a)
		}
	}
	p.listeners = sorted(p.listeners, compareListeners)
	p.virtualHosts = sorted(p.virtualHosts, compareVirtualHosts)
	p.streams = sorted(p.streams, comparePlacedStreams)
	p.meshHosts = sorted(p.meshHosts, compareMeshHosts)
	p.uses = usesOf(f)
	return p
}

// serve adds the virtual hosts or streams that an attachment reaches: "for all distinct Listeners, requests SHOULD
// match at most one Listener. For example, if Listeners are defined for foo.example.com and *.example.com, a request to
// foo.example.com SHOULD only be routed using routes attached to the foo.example.com Listener" (listener isolation). A
// listener that isn't served has accepted the route, and serves nothing.
func (g *Graph) serve(p *placement, a Attachment) {
	scope := g.gateways[a.Gateway].scope
	if g.scopes[scope] == nil {
		return // not looked at yet; the route is attached again when it is
	}
	served := &g.scopes[scope].served
	l := served.byKey[a.Listener]
	if l == nil {
		return
	}
	if l.layer == wholePort {
		p.streams = append(p.streams, placedStream{scope, StreamKey{Listener: l.key}})
		return
	}
	for _, hostname := range a.Hostnames {
		if served.best(l.table.Port, l.layer, hostname) != l {
			continue
		}
		if l.http {
			p.virtualHosts = append(p.virtualHosts, VirtualHostKey{Table: l.table, Domain: hostname})
		} else {
			p.streams = append(p.streams, placedStream{scope, StreamKey{Listener: l.key, Domain: hostname}})
		}
	}
}

// place moves a route to its next places. With changed, what it answers there has changed too.
func (g *Graph) place(n *routeNode, next placement, changed bool, d *Dirty) {
	before := n.placed
	n.placed = next
	if changed && n.facts.UDP != nil {
		d.backend(UDPRouteBackend(n.facts.Key))
	}
	diffSorted(before.listeners, next.listeners, compareListeners,
		func(l ListenerKey) {
			d.status(l.Parent)
			if g.attached[l]--; g.attached[l] == 0 {
				delete(g.attached, l)
			}
		},
		func(l ListenerKey) {
			d.status(l.Parent)
			g.attached[l]++
		},
		func(ListenerKey) {})
	diffSorted(before.virtualHosts, next.virtualHosts, compareVirtualHosts,
		func(key VirtualHostKey) { g.leaveVirtualHost(key, n, d) },
		func(key VirtualHostKey) { g.joinVirtualHost(key, n, d) },
		func(key VirtualHostKey) {
			if changed {
				d.virtualHost(key)
			}
		})
	diffSorted(before.streams, next.streams, comparePlacedStreams,
		func(s placedStream) { g.leaveStream(s, n, d) },
		func(s placedStream) { g.joinStream(s, n, d) },
		func(s placedStream) {
			if changed {
				d.scope(s.scope)
			}
		})
	diffSorted(before.meshHosts, next.meshHosts, compareMeshHosts,
		func(key MeshHostKey) { g.leaveMeshHost(key, n, d) },
		func(key MeshHostKey) { g.joinMeshHost(key, n, d) },
		func(key MeshHostKey) {
			if changed {
				d.meshHost(key)
			}
		})
	diffSorted(before.uses, next.uses, compareUses,
		func(u use) { g.countUse(u, -1, d) },
		func(u use) { g.countUse(u, 1, d) },
		func(use) {})
}

func (g *Graph) joinVirtualHost(key VirtualHostKey, n *routeNode, d *Dirty) {
	scope := key.Table.Scope
	hosts := g.hostRoutes[scope]
	if hosts == nil {
		hosts = index[VirtualHostKey, *routeNode]{}
		g.hostRoutes[scope] = hosts
	}
	hosts.add(key, n)
	d.virtualHost(key)
}

func (g *Graph) leaveVirtualHost(key VirtualHostKey, n *routeNode, d *Dirty) {
	scope := key.Table.Scope
	hosts := g.hostRoutes[scope]
	hosts.remove(key, n)
	if len(hosts) == 0 {
		delete(g.hostRoutes, scope)
	}
	d.virtualHost(key)
}

func (g *Graph) joinStream(s placedStream, n *routeNode, d *Dirty) {
	streams := g.streamRoutes[s.key.Listener]
	if streams == nil {
		streams = index[string, *routeNode]{}
		g.streamRoutes[s.key.Listener] = streams
	}
	streams.add(s.key.Domain, n)
	d.scope(s.scope)
}

func (g *Graph) leaveStream(s placedStream, n *routeNode, d *Dirty) {
	streams := g.streamRoutes[s.key.Listener]
	streams.remove(s.key.Domain, n)
	if len(streams) == 0 {
		delete(g.streamRoutes, s.key.Listener)
	}
	d.scope(s.scope)
}

func sorted[T comparable](list []T, compare func(a, b T) int) []T {
	slices.SortFunc(list, compare)
	return slices.Compact(list)
}

func compareListeners(a, b ListenerKey) int {
	return cmp.Or(compareKeys(a.Parent, b.Parent), cmp.Compare(a.Name, b.Name))
}

func comparePlacedStreams(a, b placedStream) int {
	return cmp.Or(compareKeys(a.scope, b.scope), compareListeners(a.key.Listener, b.key.Listener), cmp.Compare(a.key.Domain, b.key.Domain))
}

func compareVirtualHosts(a, b VirtualHostKey) int {
	return cmp.Or(
		compareKeys(a.Table.Scope, b.Table.Scope),
		cmp.Compare(a.Table.Port, b.Table.Port),
		cmp.Compare(a.Table.Listener, b.Table.Listener),
		cmp.Compare(a.Domain, b.Domain),
	)
}
