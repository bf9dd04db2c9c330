package graph

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

type listenerKey struct {
	gateway types.NamespacedName
	name    gwv1.SectionName
}

// A placement is where a route counts and serves. Each list is sorted and holds nothing twice.
type placement struct {
	listeners    []listenerKey // that have accepted the route
	virtualHosts []VirtualHostKey
	meshHosts    []BackendKey
	uses         []use
}

// placementOf finds the places of a route from its parents.
func (g *Graph) placementOf(f *RouteFacts) placement {
	var p placement
	for i := range f.Parents {
		parent := &f.Parents[i]
		for _, port := range parent.ServicePorts {
			p.meshHosts = append(p.meshHosts, BackendKey{Service: *parent.Service, Port: port})
		}
		for _, a := range parent.Attachments {
			p.listeners = append(p.listeners, listenerKey{*parent.Gateway, a.Listener})
			p.virtualHosts = appendVirtualHosts(p.virtualHosts, g.gateways[*parent.Gateway].served, a)
		}
	}
	p.listeners = sorted(p.listeners, compareListeners)
	p.virtualHosts = sorted(p.virtualHosts, compareVirtualHosts)
	p.meshHosts = sorted(p.meshHosts, compareBackends)
	p.uses = usesOf(f)
	return p
}

// appendVirtualHosts adds the virtual hosts that an attachment reaches: "for all distinct Listeners, requests SHOULD
// match at most one Listener. For example, if Listeners are defined for foo.example.com and *.example.com, a request to
// foo.example.com SHOULD only be routed using routes attached to the foo.example.com Listener" (listener isolation). A
// listener that isn't served has accepted the route, and has no virtual hosts.
func appendVirtualHosts(keys []VirtualHostKey, served []servedListener, a Attachment) []VirtualHostKey {
	l := listenerNamed(served, a.Listener)
	if l == nil {
		return keys
	}
	for _, hostname := range a.Hostnames {
		if bestListener(served, l.table.Port, hostname) == l {
			keys = append(keys, VirtualHostKey{Table: l.table, Domain: hostname})
		}
	}
	return keys
}

// place moves a route to its next places. With changed, what it answers there has changed too.
func (g *Graph) place(n *routeNode, next placement, changed bool, d *Dirty) {
	before := n.placed
	n.placed = next
	diffSorted(before.listeners, next.listeners, compareListeners,
		func(l listenerKey) {
			d.gatewayStatus(l.gateway)
			if g.attached[l]--; g.attached[l] == 0 {
				delete(g.attached, l)
			}
		},
		func(l listenerKey) {
			d.gatewayStatus(l.gateway)
			g.attached[l]++
		},
		func(listenerKey) {})
	diffSorted(before.virtualHosts, next.virtualHosts, compareVirtualHosts,
		func(key VirtualHostKey) { g.leaveVirtualHost(key, n, d) },
		func(key VirtualHostKey) { g.joinVirtualHost(key, n, d) },
		func(key VirtualHostKey) {
			if changed {
				d.virtualHost(key)
			}
		})
	diffSorted(before.meshHosts, next.meshHosts, compareBackends,
		func(key BackendKey) {
			g.meshRoutes.remove(key, n)
			d.meshHost(key)
		},
		func(key BackendKey) {
			g.meshRoutes.add(key, n)
			d.meshHost(key)
		},
		func(key BackendKey) {
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
	gateway := key.Table.Gateway
	if !g.hasVirtualHost(key) {
		d.gateway(gateway)
	}
	hosts := g.hostRoutes[gateway]
	if hosts == nil {
		hosts = index[VirtualHostKey, *routeNode]{}
		g.hostRoutes[gateway] = hosts
	}
	hosts.add(key, n)
	d.virtualHost(key)
}

func (g *Graph) leaveVirtualHost(key VirtualHostKey, n *routeNode, d *Dirty) {
	gateway := key.Table.Gateway
	hosts := g.hostRoutes[gateway]
	hosts.remove(key, n)
	if len(hosts) == 0 {
		delete(g.hostRoutes, gateway)
	}
	d.virtualHost(key)
	if !g.hasVirtualHost(key) {
		d.gateway(gateway)
	}
}

func sorted[T comparable](list []T, compare func(a, b T) int) []T {
	slices.SortFunc(list, compare)
	return slices.Compact(list)
}

func compareListeners(a, b listenerKey) int {
	return cmp.Or(compareNames(a.gateway, b.gateway), cmp.Compare(a.name, b.name))
}

func compareVirtualHosts(a, b VirtualHostKey) int {
	return cmp.Or(
		compareNames(a.Table.Gateway, b.Table.Gateway),
		cmp.Compare(a.Table.Port, b.Table.Port),
		cmp.Compare(a.Table.Listener, b.Table.Listener),
		cmp.Compare(a.Domain, b.Domain),
	)
}
