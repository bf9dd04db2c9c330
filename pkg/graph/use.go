package graph

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A use is a Gateway that a port of a Service is to get requests from, by some route that is attached to it. The Service
// and its port need not exist.
type use struct {
	backend BackendKey
	gateway types.NamespacedName
}

// usesOf returns what the Gateways that accept a route use by it, for its backends and its filters. A reference that no
// ReferenceGrant permits uses nothing: whose business it would be must not hear of it.
func usesOf(f *RouteFacts) []use {
	var gateways []types.NamespacedName
	for i := range f.Parents {
		if p := &f.Parents[i]; p.Gateway != nil && len(p.Attachments) > 0 && !slices.Contains(gateways, *p.Gateway) {
			gateways = append(gateways, *p.Gateway)
		}
	}
	var uses []use
	add := func(b *BackendFacts) {
		if b.Backend == (BackendKey{}) || b.Problem != nil && b.Problem.Reason == string(gwv1.RouteReasonRefNotPermitted) {
			return
		}
		for _, gateway := range gateways {
			uses = append(uses, use{b.Backend, gateway})
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
	return cmp.Or(compareBackends(a.backend, b.backend), compareNames(a.gateway, b.gateway))
}

// countUse adds a route to a use, or takes one away. When a use begins or ends, the policies of the Service have other
// ancestors.
func (g *Graph) countUse(u use, change int, d *Dirty) {
	service := u.backend.NamespacedName()
	counts := g.uses[service]
	if counts == nil {
		counts = map[use]int{}
		g.uses[service] = counts
	}
	before := counts[u]
	counts[u] += change
	if counts[u] == 0 {
		delete(counts, u)
		if len(counts) == 0 {
			delete(g.uses, service)
		}
	}
	if before == 0 || before+change == 0 {
		g.tlsPoliciesChanged(service, d)
		g.trafficPoliciesChanged(service, d)
	}
}

// gatewaysUsing returns the Gateways that use ports of a Service that are selected, sorted.
func (g *Graph) gatewaysUsing(service types.NamespacedName, selected func(port int32) bool) []types.NamespacedName {
	var gateways []types.NamespacedName
	for u := range g.uses[service] {
		if selected(u.backend.Port) {
			gateways = append(gateways, u.gateway)
		}
	}
	return sorted(gateways, compareNames)
}
