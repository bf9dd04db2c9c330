package graph

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Default Gateways (GEP-3793): a route that asks for them is attached to each Gateway of ours that is one, as if it named it.

// IsDefault says whether the Gateway is a default Gateway: "DefaultScope, when set, configures the Gateway as a default Gateway, meaning it will dynamically and implicitly
// have Routes (e.g. HTTPRoute) attached to it". Only one of ours is, for us.
func (f *GatewayFacts) IsDefault() bool {
	return isManaged(f) && f.Object.Spec.DefaultScope == gwv1.GatewayDefaultScopeAll
}

// usesDefaults: "UseDefaultGateways indicates the default Gateway scope to use for this Route."
func usesDefaults(f *RouteFacts) bool {
	return f.route().common().UseDefaultGateways == gwv1.GatewayDefaultScopeAll
}

// defaultsWarnings: "If there are no default Gateways in the cluster, spec.useDefaultGateways MUST be treated as if it were unset in
// all Routes, parallel to the situation where a Route specifies a Gateway by name, but no Gateway of that name exists".
func (g *Graph) defaultsWarnings(f *RouteFacts) []string {
	if !usesDefaults(f) || len(g.defaults) > 0 {
		return nil
	}
	return []string{"spec.useDefaultGateways has no effect: no Gateway of ours has spec.defaultScope " + string(gwv1.GatewayDefaultScopeAll)}
}

// parentRefs returns the references of a route to its parents: its own, and then those to the default Gateways that it uses
// and doesn't name, sorted.
func (g *Graph) parentRefs(f *RouteFacts) []gwv1.ParentReference {
	refs := f.route().common().ParentRefs
	if !usesDefaults(f) {
		return refs
	}
	refs = slices.Clone(refs)
	for _, name := range slices.SortedFunc(maps.Keys(g.defaults), compareNames) {
		if !names(f, gatewayKey(name)) {
			refs = append(refs, defaultRef(name))
		}
	}
	return refs
}

// names says whether one of the parentRefs of a route is to that parent.
func names(f *RouteFacts, parent Key) bool {
	return slices.ContainsFunc(f.route().common().ParentRefs, func(ref gwv1.ParentReference) bool {
		return parentKey(ref, f.Key.Namespace) == parent
	})
}

// defaultRef is the reference to a default Gateway that a route has without saying so.
func defaultRef(name types.NamespacedName) gwv1.ParentReference {
	return ancestor(gwv1.GroupName, gwv1.Kind(KindGateway), name)
}

// followDefault takes note of a Gateway that becomes a default Gateway, or isn't one any more.
func (g *Graph) followDefault(name types.NamespacedName, is bool, d *Dirty) {
	if _, was := g.defaults[name]; was == is {
		return
	}
	if is {
		g.defaults[name] = struct{}{}
	} else {
		delete(g.defaults, name)
	}
	for n := range g.defaultRoutes {
		g.indexParents(n, false)
		facts := *n.facts
		facts.Refs = g.parentRefs(&facts)
		facts.Parents = g.evalParents(&facts)
		facts.Warnings = g.routeWarnings(&facts)
		g.replaceRoute(n, &facts, d)
		g.indexParents(n, true)
	}
}
