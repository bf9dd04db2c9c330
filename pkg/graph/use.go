package graph

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A use is a Gateway that a port of a backend is to get requests from, or connections or packets, by some route that is attached
// to it. The backend and its port need not exist.
type use struct {
	backend BackendKey
	gateway types.NamespacedName
	stream  bool // connections or packets, of which the Gateway doesn't read what is said in them
}

// usesOf returns what the Gateways that accept a route use by it, for its backends and its filters. A reference that no
// ReferenceGrant permits uses nothing: whose business it would be must not hear of it.
func usesOf(f *RouteFacts) []use {
	var gateways []types.NamespacedName
	for i := range f.Parents {
		for _, a := range f.Parents[i].Attachments {
			if !slices.Contains(gateways, a.Gateway) {
				gateways = append(gateways, a.Gateway)
			}
		}
	}
	var uses []use
	add := func(b *BackendFacts) {
		if b.Backend == (BackendKey{}) || b.Problem != nil && b.Problem.Reason == string(gwv1.RouteReasonRefNotPermitted) {
			return
		}
		for _, gateway := range gateways {
			uses = append(uses, use{b.Backend, gateway, !f.readsHTTP()})
		}
	}
	for i := range f.Rules {
		for b := range f.Rules[i].targets() {
			add(b)
		}
	}
	return sorted(uses, compareUses)
}

func compareUses(a, b use) int {
	return cmp.Or(compareBackends(a.backend, b.backend), compareNames(a.gateway, b.gateway), compareBools(a.stream, b.stream))
}

// countUse adds a route to a use, or takes one away. When a use begins or ends, the backend, if it has a status,
// and its policies have other ancestors.
func (g *Graph) countUse(u use, change int, d *Dirty) {
	target := u.backend.Key
	counts := g.uses[target]
	if counts == nil {
		counts = map[use]int{}
		g.uses[target] = counts
	}
	before := counts[u]
	counts[u] += change
	if counts[u] == 0 {
		delete(counts, u)
		if len(counts) == 0 {
			delete(g.uses, target)
		}
	}
	if before != 0 && before+change != 0 {
		return
	}
	g.trafficPoliciesChanged(target, d)
	if target.Kind == KindBackend {
		d.status(target)
	} else {
		g.tlsPoliciesChanged(target.NamespacedName(), d)
	}
}

// gatewaysUsing returns the Gateways with uses of a backend that are selected, sorted.
func (g *Graph) gatewaysUsing(target Key, selected func(use) bool) []types.NamespacedName {
	var gateways []types.NamespacedName
	for u := range g.uses[target] {
		if selected(u) {
			gateways = append(gateways, u.gateway)
		}
	}
	return sorted(gateways, compareNames)
}
