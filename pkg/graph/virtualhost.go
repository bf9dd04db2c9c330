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
	f := &VirtualHostFacts{Key: key, Routes: oldestFirst(g.hostRoutes[key.Table.Scope][key])}
	l := node.served.of(key)
	if l == nil {
		return f
	}
	f.ClientCertificate = g.gateways[l.gateway].facts.ClientCertificateSecret()
	if key.Domain == misdirectedHost {
		f.Misdirected = slices.DeleteFunc(slices.Clone(node.serverNames[key.Table.Port]), func(name string) bool { return name == l.domain })
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

// misdirectedHost is in place of a domain: the virtual host of the misdirected requests of a listener's table.
const misdirectedHost = ""

// findHosts finds the virtual hosts that listeners have without any route: one for its own hostname, which keeps the
// requests for it from less specific listeners; and, for an HTTPS listener, one for those of the other listeners of its
// port: "To detect misdirected requests, Gateways SHOULD match the authority of the requests with all the SNI hostname(s)
// configured across all the Gateway Listeners on the same port and protocol" (Listener.Hostname).
func (n *scopeNode) findHosts() {
	n.hosts, n.serverNames = map[VirtualHostKey]struct{}{}, map[int32][]string{}
	for i := range n.served.list {
		if l := &n.served.list[i]; l.layer == behindTLS {
			n.serverNames[l.table.Port] = append(n.serverNames[l.table.Port], l.domain)
		}
	}
	for _, names := range n.serverNames {
		slices.Sort(names) // each is there once: they are distinct
	}
	for i := range n.served.list {
		l := &n.served.list[i]
		if !l.http {
			continue
		}
		n.hosts[VirtualHostKey{Table: l.table, Domain: l.domain}] = struct{}{}
		if l.layer == behindTLS && len(n.serverNames[l.table.Port]) > 1 {
			n.hosts[VirtualHostKey{Table: l.table, Domain: misdirectedHost}] = struct{}{}
		}
	}
}

// followHosts marks the virtual hosts that come, go or become something else with the listeners.
func followHosts(before, after *scopeNode, d *Dirty) {
	for key := range before.hosts {
		if _, kept := after.hosts[key]; !kept {
			d.virtualHost(key)
		}
	}
	renamed := map[int32]bool{}
	for port, names := range after.serverNames {
		renamed[port] = !slices.Equal(before.serverNames[port], names)
	}
	for key := range after.hosts {
		if _, kept := before.hosts[key]; !kept || key.Domain == misdirectedHost && renamed[key.Table.Port] {
			d.virtualHost(key)
		}
	}
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
