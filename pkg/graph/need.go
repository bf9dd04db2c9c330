package graph

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Secrets and ConfigMaps are read only if something refers to them that is permitted to. The graph knows what that is before
// it has any of them: what is needed is never a matter of what is in one.

// Needed says whether facts depend on the Secret or ConfigMap with that key, be it in the graph or not: a Gateway of ours
// refers to it and is permitted to, or a BackendTLSPolicy does.
func (g *Graph) Needed(key Key) bool { return g.needed[key] > 0 }

// NeededBy returns the Secrets and ConfigMaps that facts about obj would depend on if it were written now, sorted, be they in
// the graph or not.
func (g *Graph) NeededBy(obj metav1.Object) []Key {
	switch o := obj.(type) {
	case *gwv1.Gateway:
		return g.gatewayNeeds(o)
	case *gwv1.BackendTLSPolicy:
		return tlsPolicyNeeds(o)
	case *gwv1.HTTPRoute:
		return g.routeNeeds(bareHTTPRoute(o))
	case *gwv1.GRPCRoute:
		return g.routeNeeds(bareGRPCRoute(o))
	}
	return nil
}

// gatewayNeeds returns what evalGateway looks up. A Gateway of another controller needs nothing.
func (g *Graph) gatewayNeeds(gw *gwv1.Gateway) []Key {
	if class := g.GatewayClass(string(gw.Spec.GatewayClassName)); class == nil || !class.Managed {
		return nil
	}
	var needs []Key
	need := func(target Key, known bool) {
		if known && g.permitted(KindGateway, gw.Namespace, target) {
			needs = append(needs, target)
		}
	}
	for i := range gw.Spec.Listeners {
		l := &ListenerFacts{Spec: &gw.Spec.Listeners[i], Index: i}
		if l.Spec.Protocol != gwv1.HTTPSProtocolType {
			continue
		}
		if l.Spec.TLS != nil && tlsNotTerminated(l) == nil {
			for _, ref := range l.Spec.TLS.CertificateRefs {
				need(secretOf(gw.Namespace, ref))
			}
		}
		if f := frontendOf(gw, l.Spec.Port); f != nil && unknownMode(f) == nil {
			for _, ref := range f.validation.CACertificateRefs {
				need(configMapOf(gw.Namespace, ref))
			}
		}
	}
	if ref := clientCertificateRef(gw); ref != nil {
		need(secretOf(gw.Namespace, *ref))
	}
	return sorted(needs, compareKeys)
}

// tlsPolicyNeeds returns what validateTLS looks up. Every policy is ours to judge: see evalTLSPolicy.
func tlsPolicyNeeds(policy *gwv1.BackendTLSPolicy) []Key {
	var needs []Key
	for _, ref := range policy.Spec.Validation.CACertificateRefs {
		if isLocalConfigMap(ref) {
			needs = append(needs, Key{Kind: KindConfigMap, Namespace: policy.Namespace, Name: string(ref.Name)})
		}
	}
	return sorted(needs, compareKeys)
}

// routeNeeds returns what the policies need that rule the connections to a route's backends.
func (g *Graph) routeNeeds(f *RouteFacts) []Key {
	var needs []Key
	for _, service := range g.permittedBackends(f) {
		for policy := range g.tlsPoliciesByService[service] {
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
