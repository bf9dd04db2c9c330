package graph

import (
	"cmp"
	"slices"
)

// VirtualHosts returns the virtual hosts of a scope, sorted by port, listener and domain. It costs as much as there
// are; a reader that follows changes takes them from Dirty.VirtualHosts instead.
func (g *Graph) VirtualHosts(scope Key) []VirtualHostKey {
	node := g.scopes[scope]
	if node == nil {
		return nil
	}
	keys := make([]VirtualHostKey, 0, len(node.hosts)+len(g.hostRoutes[scope]))
	for key := range node.hosts {
		keys = append(keys, key)
	}
	for key := range g.hostRoutes[scope] {
		if _, listed := node.hosts[key]; !listed {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, compareVirtualHosts)
	return keys
}

// VirtualHost returns what is true of a virtual host, or nil if there is no such virtual host.
func (g *Graph) VirtualHost(key VirtualHostKey) *VirtualHostFacts {
	if !g.hasVirtualHost(key) {
		return nil
	}
	node := g.scopes[key.Table.Scope]
	f := &VirtualHostFacts{
		Key:         key,
		Misdirected: node.hosts[key],
		Routes:      oldestFirst(g.hostRoutes[key.Table.Scope][key]),
	}
	if l := listenerOf(node.served, key); l != nil {
		f.ClientCertificate = g.gateways[l.gateway].facts.ClientCertificateSecret()
	}
	return f
}

func (g *Graph) hasVirtualHost(key VirtualHostKey) bool {
	if len(g.hostRoutes[key.Table.Scope][key]) > 0 {
		return true
	}
	node := g.scopes[key.Table.Scope]
	if node == nil {
		return false
	}
	_, ok := node.hosts[key]
	return ok
}

// listenerOf returns the listener that the requests of a virtual host belong to.
func listenerOf(served []servedListener, key VirtualHostKey) *servedListener {
	if key.Table.Listener == "" {
		return bestListener(served, key.Table.Port, plainHTTP, key.Domain)
	}
	i := slices.IndexFunc(served, func(l servedListener) bool { return l.table == key.Table })
	if i < 0 {
		return nil
	}
	return &served[i]
}

// listenerHosts returns the virtual hosts that listeners have without any route: one for its own hostname, which keeps
// the requests for it from less specific listeners; and, for an HTTPS listener, those of the other listeners of its
// port: "To detect misdirected requests, Gateways SHOULD match the authority of the requests with all the SNI hostname(s)
// configured across all the Gateway Listeners on the same port and protocol" (Listener.Hostname). These are true.
func listenerHosts(served []servedListener) map[VirtualHostKey]bool {
	hosts := map[VirtualHostKey]bool{}
	for i := range served {
		for j := range served {
			if l, o := &served[i], &served[j]; l.http && l.table.Port == o.table.Port && l.layer == o.layer {
				hosts[VirtualHostKey{Table: l.table, Domain: o.domain}] = l.table != o.table
			}
		}
	}
	return hosts
}

// oldestFirst: "The oldest Route based on creation timestamp. ... If everything else is equivalent, the Route appearing
// first in alphabetical order (namespace/name) should be given precedence."
func oldestFirst(nodes map[*routeNode]struct{}) []*RouteFacts {
	if len(nodes) == 0 {
		return nil
	}
	routes := make([]*RouteFacts, 0, len(nodes))
	for n := range nodes {
		routes = append(routes, n.facts)
	}
	slices.SortFunc(routes, func(a, b *RouteFacts) int {
		return cmp.Or(
			compareAge(a.object(), b.object()),
			cmp.Compare(a.Key.Kind, b.Key.Kind),
		)
	})
	return routes
}

// compareAlphabetically compares "namespace/name", in which the slash takes part: team-a/x is before team/x.
func compareAlphabetically(a, b Key) int {
	if a.Namespace == b.Namespace {
		return cmp.Compare(a.Name, b.Name)
	}
	return cmp.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
}
