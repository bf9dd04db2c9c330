package graph

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// ScopeOf returns the scope that a Gateway is served in; false if there is no such Gateway.
func (g *Graph) ScopeOf(gateway types.NamespacedName) (Key, bool) {
	node := g.gateways[gateway]
	if node == nil {
		return Key{}, false
	}
	return node.scope, true
}

// GatewaysOf returns the Gateways of a scope, in no order.
func (g *Graph) GatewaysOf(scope Key) []types.NamespacedName {
	return slices.Collect(maps.Keys(g.gatewaysByScope[scope]))
}

// ListenerSetsOf returns the ListenerSets that refer to a Gateway, in no order.
func (g *Graph) ListenerSetsOf(gateway types.NamespacedName) []Key {
	var sets []Key
	for name := range g.setsByGateway[gateway] {
		sets = append(sets, listenerSetKey(name))
	}
	return sets
}

// RoutesTo returns the routes that refer to a Service or an XBackend, as a backend or as a parent, in no order.
func (g *Graph) RoutesTo(backend Key) []Key {
	var routes []Key
	for route := range g.routesByBackend[backend] {
		routes = append(routes, route.facts.Key)
	}
	return routes
}

// ForwardsTo says whether a rule of the route refers to a Service or an XBackend, as a backend or by a filter.
func (f *RouteFacts) ForwardsTo(backend Key) bool {
	found := false
	f.eachBackend(func(target Key) { found = found || target == backend })
	return found
}
