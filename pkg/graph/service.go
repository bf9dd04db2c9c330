package graph

import (
	"cmp"
	"iter"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ServicePort returns a TCP or UDP port of a Service that isn't an ExternalName, with what backs it, or nil if there is none.
func (g *Graph) ServicePort(key BackendKey) *ServicePortFacts {
	service := g.services[key.NamespacedName()]
	port := servicePort(service, key)
	if port == nil {
		return nil
	}
	f := &ServicePortFacts{Key: key, Service: service, Port: port, RetryBudget: g.servicePolicy(key.NamespacedName()).budget}
	if policy := g.tlsPolicy(key); policy != nil {
		f.TLS = policy.validation.tls
	}
	for name := range g.slicesByService[key.NamespacedName()] {
		f.Slices = append(f.Slices, g.slices[name])
	}
	slices.SortFunc(f.Slices, func(a, b *discoveryv1.EndpointSlice) int { return cmp.Compare(a.Name, b.Name) })
	return f
}

// servicePorts yields the ports of a Service that can be served by TCP. A Service of type ExternalName has none:
// "Implementations SHOULD NOT support ExternalName Services" (CVE-2021-25740).
func servicePorts(service *corev1.Service) iter.Seq[*corev1.ServicePort] {
	return func(yield func(*corev1.ServicePort) bool) {
		for key, port := range allPorts(service) {
			if !key.UDP && !yield(port) {
				return
			}
		}
	}
}

// allPorts yields the ports of a Service that can be served, by TCP or UDP.
func allPorts(service *corev1.Service) iter.Seq2[BackendKey, *corev1.ServicePort] {
	return func(yield func(BackendKey, *corev1.ServicePort) bool) {
		if service == nil || service.Spec.Type == corev1.ServiceTypeExternalName {
			return
		}
		for i := range service.Spec.Ports {
			port := &service.Spec.Ports[i]
			key := ServiceBackend(namespacedName(service), port.Port)
			switch port.Protocol {
			case "", corev1.ProtocolTCP:
			case corev1.ProtocolUDP:
				key.UDP = true
			default:
				continue
			}
			if !yield(key, port) {
				return
			}
		}
	}
}

// servicePort returns the port of a Service that a key is about; nil if there is none.
func servicePort(service *corev1.Service, key BackendKey) *corev1.ServicePort {
	for k, port := range allPorts(service) {
		if k.Port == key.Port && k.UDP == key.UDP {
			return port
		}
	}
	return nil
}

func serviceKey(name types.NamespacedName) Key {
	return Key{Kind: KindService, Namespace: name.Namespace, Name: name.Name}
}

func (g *Graph) setService(name types.NamespacedName, service *corev1.Service, d *Dirty) {
	old := g.services[name]
	if old != nil && service != nil && reflect.DeepEqual(old.Spec, service.Spec) {
		put(g.services, name, service)
		return
	}
	g.followTLS([]types.NamespacedName{name}, func() { put(g.services, name, service) }, d)
	g.tlsPoliciesChanged(name, d)
	g.targetChanged(name, old, service, d)
	for key := range allPorts(old) {
		g.portChanged(key, service, d)
	}
	for key := range allPorts(service) {
		g.portChanged(key, old, d)
	}
	for route := range g.routesByBackend[serviceKey(name)] {
		g.refreshRoute(route, d)
	}
}

// portChanged marks a port that one of two states of a Service has; other is the other state.
func (g *Graph) portChanged(key BackendKey, other *corev1.Service, d *Dirty) {
	d.backend(key)
	if !key.UDP && servicePort(other, key) == nil {
		d.meshHost(key)
	}
}

func (g *Graph) setSlice(name types.NamespacedName, slice *discoveryv1.EndpointSlice, d *Dirty) {
	old := g.slices[name]
	put(g.slices, name, slice)
	before, after := sliceService(old), sliceService(slice)
	if before != after {
		if before.Name != "" {
			g.slicesByService.remove(before, name)
		}
		if after.Name != "" {
			g.slicesByService.add(after, name)
		}
	} else if old != nil && slice != nil && sameEndpoints(old, slice) {
		return
	}
	g.endpointsChanged(before, d)
	g.endpointsChanged(after, d)
}

func (g *Graph) endpointsChanged(service types.NamespacedName, d *Dirty) {
	for key := range allPorts(g.services[service]) {
		d.backend(key)
	}
}

// sliceService returns the Service that an EndpointSlice backs, by its label; without a name if there is none.
func sliceService(slice *discoveryv1.EndpointSlice) types.NamespacedName {
	if slice == nil || slice.Labels[discoveryv1.LabelServiceName] == "" {
		return types.NamespacedName{}
	}
	return types.NamespacedName{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}
}

func sameEndpoints(a, b *discoveryv1.EndpointSlice) bool {
	return a.AddressType == b.AddressType && reflect.DeepEqual(a.Endpoints, b.Endpoints) && reflect.DeepEqual(a.Ports, b.Ports)
}
