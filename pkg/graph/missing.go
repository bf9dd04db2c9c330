package graph

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)

// MissingFor returns the Services and the Namespace that facts about obj, a route or a policy, depend on and that are not in
// the graph, sorted. What obj isn't permitted to refer to is none of its business, be it there or not.
func (g *Graph) MissingFor(obj metav1.Object) []Key {
	var missing []Key
	for _, name := range g.servicesOf(obj) {
		if g.services[name] == nil {
			missing = append(missing, Key{Kind: KindService, Namespace: name.Namespace, Name: name.Name})
		}
	}
	switch obj.(type) {
	case *gwv1.HTTPRoute, *gwv1.GRPCRoute: // which may be allowed by the labels of their Namespace
		if namespace := obj.GetNamespace(); g.namespaces[namespace] == nil {
			missing = append(missing, Key{Kind: KindNamespace, Name: namespace})
		}
	}
	return sorted(missing, compareKeys)
}

// servicesOf returns the Services that an object refers to.
func (g *Graph) servicesOf(obj metav1.Object) []types.NamespacedName {
	switch o := obj.(type) {
	case *gwv1.HTTPRoute:
		return g.routeServices(bareHTTPRoute(o))
	case *gwv1.GRPCRoute:
		return g.routeServices(bareGRPCRoute(o))
	case *gwv1.BackendTLSPolicy:
		return targetServices(o)
	case *gwxv1alpha1.XBackendTrafficPolicy:
		return (&trafficPolicyNode{object: o}).services()
	}
	return nil
}

// routeServices returns the Services that a route has as parents, and those that it may have as backends and mirrors.
func (g *Graph) routeServices(f *RouteFacts) []types.NamespacedName {
	var services []types.NamespacedName
	for _, ref := range f.parentRefs() {
		if parentKind(ref) == KindService {
			services = append(services, types.NamespacedName{Namespace: namespaceOr(ref.Namespace, f.Key.Namespace), Name: string(ref.Name)})
		}
	}
	return append(services, g.permittedBackends(f)...)
}

// permittedBackends returns the Services that a route may have as backends and mirrors.
func (g *Graph) permittedBackends(f *RouteFacts) []types.NamespacedName {
	var services []types.NamespacedName
	f.eachBackendRef(func(ref *gwv1.BackendObjectReference) {
		target := Key{Kind: KindService, Namespace: namespaceOr(ref.Namespace, f.Key.Namespace), Name: string(ref.Name)}
		if g.permitted(f.Key.Kind, f.Key.Namespace, target) {
			services = append(services, target.NamespacedName())
		}
	})
	return services
}
