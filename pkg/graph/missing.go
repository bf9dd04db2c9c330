package graph

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
)

// MissingFor returns the Services and the Namespace that facts about obj, a route, a policy or an EnvoyFleet, depend on and that are not in
// the graph, sorted. What obj isn't permitted to refer to is none of its business, be it there or not.
func (g *Graph) MissingFor(obj metav1.Object) []Key {
	var missing []Key
	for _, name := range g.servicesOf(obj) {
		if g.services[name] == nil {
			missing = append(missing, Key{Kind: KindService, Namespace: name.Namespace, Name: name.Name})
		}
	}
	switch obj.(type) {
	case *gwv1.HTTPRoute, *gwv1.GRPCRoute, *gwv1.TLSRoute, *gwv1.TCPRoute, *gwv1.UDPRoute, *gwv1.ListenerSet: // which may be allowed by the labels of their Namespace
		if namespace := obj.GetNamespace(); g.namespaces[namespace] == nil {
			missing = append(missing, Key{Kind: KindNamespace, Name: namespace})
		}
	}
	return sorted(missing, compareKeys)
}

// servicesOf returns the Services that an object refers to.
func (g *Graph) servicesOf(obj metav1.Object) []types.NamespacedName {
	switch o := obj.(type) {
	case *gwv1.HTTPRoute, *gwv1.GRPCRoute, *gwv1.TLSRoute, *gwv1.TCPRoute, *gwv1.UDPRoute:
		return g.routeServices(g.bareRoute(obj))
	case *gwv1.BackendTLSPolicy:
		return targetServices(o)
	case *gwxv1alpha1.XBackendTrafficPolicy:
		var services []types.NamespacedName
		for _, target := range (&trafficPolicyNode{object: o}).targets() {
			if target.Kind == KindService {
				services = append(services, target.NamespacedName())
			}
		}
		return services
	case *fleetv1alpha1.EnvoyFleet:
		if key, traced := collectorOf(o); traced {
			return []types.NamespacedName{key.NamespacedName()}
		}
	}
	return nil
}

// routeServices returns the Services that a route has as parents, and those that it may have as backends and mirrors.
func (g *Graph) routeServices(f *RouteFacts) []types.NamespacedName {
	var services []types.NamespacedName
	for _, ref := range f.Refs {
		if target := parentKey(ref, f.Key.Namespace); target.Kind == KindService {
			services = append(services, target.NamespacedName())
		}
	}
	for _, target := range g.permittedBackends(f) {
		if target.Kind == KindService {
			services = append(services, target.NamespacedName())
		}
	}
	return services
}

// permittedBackends returns what a route may have as backends and mirrors.
func (g *Graph) permittedBackends(f *RouteFacts) []Key {
	from := origin{Key: f.Key, mesh: f.hasServiceParent() && f.readsHTTP()}
	var backends []Key
	f.eachBackend(func(target Key) {
		if g.mayReferTo(from, target) {
			backends = append(backends, target)
		}
	})
	return backends
}
