package graph

import (
	"cmp"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// The Gateways of a scope and their ListenerSets are judged together: their listeners are one set, in which each has to be
// distinct ("implementations MAY merge configuration from multiple Gateways onto a single data plane, and these rules also
// apply in that case").

// scopeNode is what has been found out about a scope.
type scopeNode struct {
	served servedListeners
	hosts  map[VirtualHostKey]struct{} // those that there are without any route
	// serverNames are the hostnames of the listeners behind TLS of each port, sorted.
	serverNames map[int32][]string
}

// scopeEval is what is true of the members of a scope.
type scopeEval struct {
	gateways []*GatewayFacts     // in the order of precedence
	sets     []*ListenerSetFacts // those of the Gateways, by Gateway and then in the order of precedence
}

// An overlay is an object that counts in place of the one that is stored, or as if it were. The zero value changes nothing.
type overlay struct {
	gateway *gwv1.Gateway
	set     *gwv1.ListenerSet
}

// Scope returns what the nodes of a scope are configured by, or nil if no Gateway of ours is served in it.
func (g *Graph) Scope(key Key) *ScopeFacts {
	f := &ScopeFacts{Key: key}
	for _, gw := range g.membersOf(key, overlay{}) {
		if facts := g.gateways[namespacedName(gw)].facts; facts.Managed {
			f.Gateways = append(f.Gateways, facts)
		}
	}
	if len(f.Gateways) == 0 {
		return nil
	}
	f.Streams = g.streamsOf(g.scopes[key].served.list)
	return f
}

// scopeOf returns the scope that a Gateway is served in, and the EnvoyFleet that it refers to, itself or by its class;
// without a name if there is none.
func (g *Graph) scopeOf(gw *gwv1.Gateway) (scope Key, fleet types.NamespacedName) {
	scope = gatewayKey(namespacedName(gw))
	class := g.GatewayClass(string(gw.Spec.GatewayClassName))
	if class == nil || !class.Managed {
		return scope, fleet
	}
	fleet = fleetRef(gw, class.Object)
	// Valid or not: nodes stay where they are while a mistake is mended.
	if node := g.fleets[fleet]; node != nil && node.object.Spec.MergeGateways {
		scope = fleetKey(fleet)
	}
	return scope, fleet
}

// membersOf returns the Gateways of a scope in the order of precedence: the oldest first.
func (g *Graph) membersOf(key Key, with overlay) []*gwv1.Gateway {
	var members []*gwv1.Gateway
	for name := range g.gatewaysByScope[key] {
		if with.gateway == nil || name != namespacedName(with.gateway) {
			members = append(members, g.gateways[name].object)
		}
	}
	if with.gateway != nil {
		if scope, _ := g.scopeOf(with.gateway); scope == key {
			members = append(members, with.gateway)
		}
	}
	slices.SortFunc(members, func(a, b *gwv1.Gateway) int { return compareAge(a, b) })
	return members
}

// compareAge orders objects of a kind as most rules of the specification do: the oldest by creation timestamp first, then in
// alphabetical order of "{namespace}/{name}".
func compareAge(a, b metav1.Object) int {
	return cmp.Or(
		a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time),
		compareAlphabetically(Key{Namespace: a.GetNamespace(), Name: a.GetName()}, Key{Namespace: b.GetNamespace(), Name: b.GetName()}),
	)
}

// evalScope finds what is true of the Gateways of a scope and of their ListenerSets.
func (g *Graph) evalScope(key Key, with overlay) *scopeEval {
	e := &scopeEval{}
	var groups [][]*ListenerFacts
	members := g.membersOf(key, with)
	for _, gw := range members {
		f := g.beginGateway(gw, key)
		e.gateways = append(e.gateways, f)
		if f.Managed {
			f.Listeners = g.evalListeners(gw)
			groups = append(groups, slices.Clone(f.Listeners))
		}
		for _, set := range g.setsOf(namespacedName(gw), with) {
			sf := g.beginListenerSet(set, f)
			e.sets = append(e.sets, sf)
			if sf.Managed && sf.Unaccepted == nil {
				groups = append(groups, f.admit(sf))
			}
		}
	}
	judgeListeners(groups)
	pooled := g.poolAddresses(members, with)
	for _, f := range e.gateways {
		if f.Managed {
			g.finishGateway(f, pooled)
		}
	}
	for _, sf := range e.sets {
		if sf.Managed {
			finishListenerSet(sf, e.gateway(sf.Gateway))
		}
	}
	return e
}

func (e *scopeEval) gateway(name types.NamespacedName) *GatewayFacts {
	for _, f := range e.gateways {
		if namespacedName(f.Object) == name {
			return f
		}
	}
	return nil
}

func (e *scopeEval) set(name types.NamespacedName) *ListenerSetFacts {
	for _, f := range e.sets {
		if namespacedName(f.Object) == name {
			return f
		}
	}
	return nil
}

// refreshScope looks at the members of a scope again after one of them, or something that they refer to, has changed, and
// follows what that changes for virtual hosts and routes.
func (g *Graph) refreshScope(key Key, d *Dirty) {
	e := g.evalScope(key, overlay{})
	var before scopeNode
	if node := g.scopes[key]; node != nil {
		before = *node
	}
	after := scopeNode{served: servedBy(key, e.gateways), hosts: before.hosts, serverNames: before.serverNames}
	moved := !slices.Equal(before.served.list, after.served.list)
	if moved {
		after.findHosts()
		followHosts(&before, &after, d)
	}
	changed := len(e.gateways) == 0 && g.scopes[key] != nil
	if len(e.gateways) == 0 {
		delete(g.scopes, key)
	} else {
		g.scopes[key] = &after
	}
	var reattach, others []Key // parents whose routes find something else there, and those whose routes don't
	follow := func(parent Key, c change) {
		changed = changed || c.shown
		if c.forRoutes {
			reattach = append(reattach, parent)
		} else {
			others = append(others, parent)
		}
	}
	for _, f := range e.gateways {
		c := g.replaceGateway(f, d)
		follow(gatewayKey(namespacedName(f.Object)), c)
		if c.clientCertificate {
			for host := range g.hostRoutes[key] {
				d.virtualHost(host)
			}
		}
	}
	for _, f := range e.sets {
		follow(listenerSetKey(namespacedName(f.Object)), g.replaceListenerSet(f, d))
	}
	if changed {
		d.scope(key)
	}
	for _, f := range e.gateways {
		g.followDefault(namespacedName(f.Object), f.IsDefault(), d)
	}
	for _, parent := range reattach {
		g.reattachRoutes(parent, d)
	}
	if moved { // and took hosts from each other, it may be
		for _, parent := range others {
			for route := range g.routesByParent[parent] {
				g.place(route, g.placementOf(route.facts), false, d)
			}
		}
	}
}

// change is what has become of the facts of a member of a scope.
type change struct {
	shown             bool // they are others
	forRoutes         bool // routes find something else
	clientCertificate bool // backends are shown another certificate
}

func (g *Graph) reattachRoutes(parent Key, d *Dirty) {
	for route := range g.routesByParent[parent] {
		g.reattachRoute(route, d)
	}
}

// refreshListeners looks again at what has listeners, or refers to something, under a key: Gateways and ListenerSets.
func (g *Graph) refreshListeners(keys map[Key]struct{}, d *Dirty) {
	scopes := map[Key]struct{}{}
	for key := range keys {
		name := key.NamespacedName()
		if key.Kind == KindListenerSet {
			name = parentOf(g.listenerSets[name].object)
		}
		if node := g.gateways[name]; node != nil {
			scopes[node.scope] = struct{}{}
		}
	}
	g.refreshScopes(scopes, d)
}

func (g *Graph) refreshScopes(scopes map[Key]struct{}, d *Dirty) {
	for _, scope := range slices.SortedFunc(maps.Keys(scopes), compareKeys) {
		g.refreshScope(scope, d)
	}
}

// refreshGateways looks again at Gateways whose class or fleet has changed, and which may be served in another scope now.
func (g *Graph) refreshGateways(names map[types.NamespacedName]struct{}, d *Dirty) {
	scopes, fleets := map[Key]struct{}{}, map[types.NamespacedName]struct{}{}
	for name := range names {
		node := g.gateways[name]
		scopes[node.scope], fleets[node.fleet] = struct{}{}, struct{}{}
		g.enroll(name, node, true, d)
		scopes[node.scope], fleets[node.fleet] = struct{}{}, struct{}{}
	}
	g.reassign(fleets, scopes)
	g.refreshScopes(scopes, d)
}

// enroll puts a Gateway into the scope and the fleet that are its own now, or takes it out of them.
func (g *Graph) enroll(name types.NamespacedName, node *gatewayNode, present bool, d *Dirty) {
	before := gatewayNode{scope: node.scope, fleet: node.fleet}
	if before.scope != (Key{}) {
		g.gatewaysByScope.remove(before.scope, name)
	}
	if before.fleet.Name != "" {
		g.gatewaysByFleet.remove(before.fleet, name)
	}
	node.scope, node.fleet = Key{}, types.NamespacedName{}
	if present {
		node.scope, node.fleet = g.scopeOf(node.object)
		g.gatewaysByScope.add(node.scope, name)
	}
	if node.fleet.Name != "" {
		g.gatewaysByFleet.add(node.fleet, name)
	}
	if node.fleet != before.fleet {
		d.fleets(before.fleet, node.fleet)
	}
	if node.scope != before.scope && isManaged(node.facts) {
		d.scope(before.scope) // those that stay may be what they were
	}
}
