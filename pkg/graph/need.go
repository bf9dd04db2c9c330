package graph

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)

// Secrets and ConfigMaps are read only if something refers to them that is permitted to. The graph knows what that is before
// it has any of them: what is needed is never a matter of what is in one.

// Needed says whether facts depend on the Secret or ConfigMap with that key, be it in the graph or not: a Gateway of ours
// refers to it and is permitted to, or a BackendTLSPolicy or an XBackend does.
func (g *Graph) Needed(key Key) bool { return g.needed[key] > 0 }

// NeededBy returns the Secrets and ConfigMaps that facts about obj would depend on if it were written now, sorted, be they in
// the graph or not.
func (g *Graph) NeededBy(obj metav1.Object) []Key {
	switch o := obj.(type) {
	case *gwv1.Gateway:
		scope, _ := g.scopeOf(o)
		return g.scopeNeeds(g.evalScope(scope, overlay{gateway: o}), namespacedName(o))
	case *gwv1.ListenerSet:
		gateway := g.gateways[parentOf(o)]
		if gateway == nil {
			return nil
		}
		return g.scopeNeeds(g.evalScope(gateway.scope, overlay{set: o}), parentOf(o))
	case *gwv1.BackendTLSPolicy:
		return tlsPolicyNeeds(o)
	case *gwxv1alpha1.XBackend:
		return g.xbackendNeeds(o)
	case *gwv1.HTTPRoute, *gwv1.GRPCRoute, *gwv1.TLSRoute, *gwv1.TCPRoute, *gwv1.UDPRoute:
		return g.routeNeeds(g.bareRoute(obj))
	}
	return nil
}

// scopeNeeds returns what a Gateway of a scope and its ListenerSets need, each of which is judged with the others: a Gateway
// allows ListenerSets, and has the clients of their listeners validated.
func (g *Graph) scopeNeeds(e *scopeEval, gateway types.NamespacedName) []Key {
	needs := g.gatewayNeeds(e.gateway(gateway))
	for _, set := range e.sets {
		if set.Gateway == gateway {
			needs = append(needs, g.listenerSetNeeds(set)...)
		}
	}
	return sorted(needs, compareKeys)
}

// gatewayNeeds returns what the facts about a Gateway were looked up in. A Gateway of another controller needs nothing.
func (g *Graph) gatewayNeeds(f *GatewayFacts) []Key {
	if !f.Managed {
		return nil
	}
	gw := f.Object
	from := gatewayKey(namespacedName(gw))
	var needs []Key
	for _, l := range f.own() {
		needs = g.appendCertificates(needs, from, l.Spec)
	}
	for _, l := range f.Listeners {
		if l.Spec.Protocol != gwv1.HTTPSProtocolType {
			continue
		}
		frontend := frontendOf(gw, l.Spec.Port)
		if frontend == nil || unknownMode(frontend) != nil {
			continue
		}
		for _, ref := range frontend.validation.CACertificateRefs {
			if target, known := configMapOf(gw.Namespace, ref); known && g.permitted(KindGateway, gw.Namespace, target) {
				needs = append(needs, target)
			}
		}
	}
	if ref := clientCertificateRef(gw); ref != nil {
		needs = g.appendSecret(needs, from, *ref)
	}
	return sorted(needs, compareKeys)
}

// listenerSetNeeds returns what the listeners of a ListenerSet look up, if the Gateway is ours and allows it.
func (g *Graph) listenerSetNeeds(f *ListenerSetFacts) []Key {
	var needs []Key
	for _, l := range f.Listeners {
		needs = g.appendCertificates(needs, l.Key.Parent, l.Spec)
	}
	return sorted(needs, compareKeys)
}

// appendCertificates adds the Secrets of a listener that terminates TLS.
func (g *Graph) appendCertificates(needs []Key, from Key, spec *gwv1.Listener) []Key {
	if l := (&ListenerFacts{Spec: spec}); spec.TLS == nil || !terminatesTLS(l) || unsupportedTLS(l) != nil {
		return needs
	}
	for _, ref := range spec.TLS.CertificateRefs {
		needs = g.appendSecret(needs, from, ref)
	}
	return needs
}

// appendSecret adds a Secret that may be referred to.
func (g *Graph) appendSecret(needs []Key, from Key, ref gwv1.SecretObjectReference) []Key {
	if target, known := secretOf(from.Namespace, ref); known && g.permitted(from.Kind, from.Namespace, target) {
		return append(needs, target)
	}
	return needs
}

// tlsPolicyNeeds returns what validateTLS looks up. Every policy is ours to judge: see evalTLSPolicy.
func tlsPolicyNeeds(policy *gwv1.BackendTLSPolicy) []Key {
	return authorityNeeds(&policy.Spec.Validation, policy.Namespace)
}

// authorityNeeds returns the ConfigMaps that a validation in a namespace refers to.
func authorityNeeds(spec *gwv1.BackendTLSPolicyValidation, namespace string) []Key {
	var needs []Key
	for _, ref := range spec.CACertificateRefs {
		if isLocalConfigMap(ref) {
			needs = append(needs, Key{Kind: KindConfigMap, Namespace: namespace, Name: string(ref.Name)})
		}
	}
	return sorted(needs, compareKeys)
}

// routeNeeds returns what a route's backends need, and the policies that rule the connections to them.
func (g *Graph) routeNeeds(f *RouteFacts) []Key {
	var needs []Key
	for _, backend := range g.permittedBackends(f) {
		if backend.Kind == KindBackend {
			if node := g.xbackends[backend.NamespacedName()]; node != nil {
				needs = append(needs, node.needs...)
			}
			continue
		}
		for policy := range g.tlsPoliciesByService[backend.NamespacedName()] {
			needs = append(needs, tlsPolicyNeeds(g.tlsPolicies[policy].object)...)
		}
	}
	return sorted(needs, compareKeys)
}

// changeNeeds follows what an object needs, both lists sorted.
func (g *Graph) changeNeeds(before, after []Key, d *Dirty) {
	diffSorted(before, after, compareKeys,
		func(key Key) {
			if g.needed[key]--; g.needed[key] == 0 {
				delete(g.needed, key)
				d.reference(key)
			}
		},
		func(key Key) {
			if g.needed[key]++; g.needed[key] == 1 {
				d.reference(key)
			}
		},
		func(Key) {})
}

// secretOf returns the Secret that a reference from a namespace names; known is false for one to another kind of object.
func secretOf(namespace string, ref gwv1.SecretObjectReference) (target Key, known bool) {
	known = valueOr(ref.Group, "") == corev1.GroupName && valueOr(ref.Kind, gwv1.Kind(KindSecret)) == gwv1.Kind(KindSecret)
	return Key{Kind: KindSecret, Namespace: namespaceOr(ref.Namespace, namespace), Name: string(ref.Name)}, known
}

// configMapOf is secretOf for a ConfigMap.
func configMapOf(namespace string, ref gwv1.ObjectReference) (target Key, known bool) {
	known = ref.Group == corev1.GroupName && ref.Kind == gwv1.Kind(KindConfigMap)
	return Key{Kind: KindConfigMap, Namespace: namespaceOr(ref.Namespace, namespace), Name: string(ref.Name)}, known
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
