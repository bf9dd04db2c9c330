package graph

import (
	"cmp"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
)

// BackendPort returns a TCP or UDP port of a Service that isn't an ExternalName, or the port of an XBackend that is accepted,
// with what is behind it, or nil if there is none; of a UDPRoute, its backends taken together.
func (g *Graph) BackendPort(key BackendKey) *BackendPortFacts {
	switch key.Kind {
	case KindUDPRoute:
		return g.udpRouteBackend(key)
	case KindBackend:
		return g.xbackendPort(key)
	}
	service := g.services[key.NamespacedName()]
	port := servicePort(service, key)
	if port == nil {
		return nil
	}
	f := &BackendPortFacts{
		Key: key, Port: port, HTTP2: isHTTP2(valueOr(port.AppProtocol, "")),
	}
	if !key.UDP { // packets are sent once
		f.RetryBudget = g.trafficPolicyOf(key.Key).budget
	}
	if policy := g.tlsPolicy(key); policy != nil {
		f.TLS = policy.validation.tls
	}
	for name := range g.slicesByService[key.NamespacedName()] {
		if slice := g.slices[name]; hasAddresses(slice) {
			f.Slices = append(f.Slices, slice)
		}
	}
	slices.SortFunc(f.Slices, func(a, b *discoveryv1.EndpointSlice) int { return cmp.Compare(a.Name, b.Name) })
	return f
}

// hasAddresses says whether the endpoints of an EndpointSlice can be forwarded to. Those of addressType FQDN are names, of which
// "no semantics are currently defined": kube-proxy leaves them out, and what they resolve to is somebody else's (CVE-2021-25740).
func hasAddresses(slice *discoveryv1.EndpointSlice) bool {
	return slice.AddressType == discoveryv1.AddressTypeIPv4 || slice.AddressType == discoveryv1.AddressTypeIPv6
}

// unaddressed names the EndpointSlices of a route's backends that get nothing: see hasAddresses.
func (g *Graph) unaddressed(f *RouteFacts) []string {
	var warnings []string
	for _, rule := range slices.Concat(f.Rules, f.MeshRules) {
		for b := range rule.targets() {
			if b.Backend.Kind != KindService || b.Problem != nil {
				continue
			}
			for name := range g.slicesByService[b.Backend.NamespacedName()] {
				if slice := g.slices[name]; !hasAddresses(slice) {
					warnings = append(warnings, fmt.Sprintf("the endpoints of EndpointSlice %s get no requests: addressType %s is not supported; use %s or %s",
						name, slice.AddressType, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6))
				}
			}
		}
	}
	return sorted(warnings, strings.Compare)
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
	if old != nil && service != nil && reflect.DeepEqual(old.Spec, service.Spec) && old.CreationTimestamp.Equal(&service.CreationTimestamp) {
		put(g.services, name, service)
		g.infrastructureChanged(old, service, d)
		return
	}
	missing := g.missingTarget(serviceKey(name))
	g.followTLS([]types.NamespacedName{name}, func() { put(g.services, name, service) }, d)
	g.addressesChanged(name, old, service, d)
	g.tlsPoliciesChanged(name, d)
	if !reflect.DeepEqual(missing, g.missingTarget(serviceKey(name))) {
		g.trafficPoliciesChanged(serviceKey(name), d)
	}
	for key := range allPorts(old) {
		g.portChanged(key, service, d)
	}
	for key := range allPorts(service) {
		g.portChanged(key, old, d)
	}
	for route := range g.routesByBackend[serviceKey(name)] {
		g.refreshRoute(route, d)
	}
	g.refreshCollector(name, d)
	g.infrastructureChanged(old, service, d)
}

// portChanged marks a port that one of two states of a Service has; other is the other state.
func (g *Graph) portChanged(key BackendKey, other *corev1.Service, d *Dirty) {
	d.backend(key)
	g.udpPortChanged(key, d)
	if !key.UDP && servicePort(other, key) == nil {
		g.meshHostChanged(key, d)
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
	for service := range g.warnedOf(old, slice) {
		for route := range g.routesByBackend[serviceKey(service)] {
			g.refreshRoute(route, d)
		}
	}
}

// warnedOf yields the Services whose routes warn of one of two states of an EndpointSlice, and not of the other.
func (g *Graph) warnedOf(a, b *discoveryv1.EndpointSlice) iter.Seq[types.NamespacedName] {
	return func(yield func(types.NamespacedName) bool) {
		warned := func(slice *discoveryv1.EndpointSlice) (service types.NamespacedName, addresses discoveryv1.AddressType) {
			if slice == nil || hasAddresses(slice) {
				return service, addresses
			}
			return sliceService(slice), slice.AddressType
		}
		before, was := warned(a)
		after, is := warned(b)
		if before == after && was == is {
			return
		}
		for _, service := range []types.NamespacedName{before, after} {
			if service.Name != "" && !yield(service) {
				return
			}
		}
	}
}

func (g *Graph) endpointsChanged(service types.NamespacedName, d *Dirty) {
	for key := range allPorts(g.services[service]) {
		d.backend(key)
		g.udpPortChanged(key, d)
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
