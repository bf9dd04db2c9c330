package graph

import (
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A crossing is a pair of namespaces that references of a kind of object cross.
type crossing struct {
	from          Kind
	fromNamespace string
	toNamespace   string
}

// A permission is what a pair of from and to of a ReferenceGrant gives. An empty name stands for every object.
type permission struct {
	crossing
	to   Kind
	name string
}

// permitted says whether objects of a kind in a namespace may refer to target: "References to a resource in different
// namespace are invalid UNLESS there is a ReferenceGrant in the target namespace that allows" them.
func (g *Graph) permitted(from Kind, fromNamespace string, target Key) bool {
	if fromNamespace == target.Namespace {
		return true
	}
	p := permission{crossing{from, fromNamespace, target.Namespace}, target.Kind, ""}
	if g.permissions[p] > 0 {
		return true
	}
	p.name = target.Name
	return g.permissions[p] > 0
}

func notPermitted[R ~string](reason R, from Kind, fromNamespace string, target Key) *Problem {
	return newProblem(reason, "no ReferenceGrant in namespace %s allows a %s in namespace %s to refer to %s",
		target.Namespace, from, fromNamespace, target)
}

// setGrant follows a ReferenceGrant: "Implementations that support ReferenceGrant MUST NOT permit cross-namespace
// references which have no grant, and MUST respond to the removal of a grant by revoking the access that the grant
// allowed." Only what crosses where a permission came or went is looked at again.
func (g *Graph) setGrant(name types.NamespacedName, grant *gwv1.ReferenceGrant, d *Dirty) {
	before := map[permission]bool{}
	for p := range permissionsOf(g.grants[name]) {
		before[p] = true
		if g.permissions[p]--; g.permissions[p] == 0 {
			delete(g.permissions, p)
		}
	}
	put(g.grants, name, grant)
	for p := range permissionsOf(grant) {
		if _, had := before[p]; !had {
			before[p] = g.permissions[p] > 0
		}
		g.permissions[p]++
	}
	changed := map[crossing]struct{}{}
	for p, had := range before {
		if had != (g.permissions[p] > 0) {
			changed[p.crossing] = struct{}{}
		}
	}
	for c := range changed {
		g.refreshListeners(g.listenersAcross[c], d)
		g.refreshXBackends(g.xbackendsAcross[c], d)
		for route := range g.routesAcross[c] {
			g.refreshRoute(route, d)
		}
	}
}

// permissionsOf returns the permissions that a grant gives to what the graph knows: "Each entry in this list MUST be
// considered to be an additional place ... entries MUST be combined using OR", in from and in to. "When unspecified, this
// policy refers to all resources of the specified Group and Kind in the local namespace."
func permissionsOf(grant *gwv1.ReferenceGrant) map[permission]struct{} {
	if grant == nil {
		return nil
	}
	permissions := map[permission]struct{}{}
	for _, from := range grant.Spec.From {
		if from.Group != groupOf(Kind(from.Kind)) {
			continue
		}
		c := crossing{Kind(from.Kind), string(from.Namespace), grant.Namespace}
		for _, to := range grant.Spec.To {
			if to.Group == groupOf(Kind(to.Kind)) {
				permissions[permission{c, Kind(to.Kind), string(valueOr(to.Name, ""))}] = struct{}{}
			}
		}
	}
	return permissions
}
