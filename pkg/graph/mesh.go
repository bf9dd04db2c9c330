package graph

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// MeshHosts returns what mesh clients can ask for, sorted: every TCP port of every Service that isn't an ExternalName, for all
// clients and for those of each namespace with consumer routes.
func (g *Graph) MeshHosts() []MeshHostKey {
	var keys []MeshHostKey
	for name, service := range g.services {
		for port := range servicePorts(service) {
			keys = append(keys, g.meshHostsOf(ServiceBackend(name, port.Port))...)
		}
	}
	slices.SortFunc(keys, compareMeshHosts)
	return keys
}

// meshHostsOf returns a port of a Service as it is for all clients, and for those of each namespace with consumer routes.
func (g *Graph) meshHostsOf(port BackendKey) []MeshHostKey {
	keys := []MeshHostKey{{BackendKey: port}}
	for namespace := range g.meshConsumers[port] {
		keys = append(keys, MeshHostKey{port, namespace})
	}
	return keys
}

// MeshHost returns what is true of a port of a Service for mesh clients, or nil if there is no such port, or if the namespace that
// key names has no consumer routes for it.
//
// "Requests from a namespace with consumer routes will utilize the (possibly merged) set of routes in the consumer namespace.
// Requests from other namespaces will utilize the (possibly merged) set of routes in the producer namespace" (GEP-1294).
func (g *Graph) MeshHost(key MeshHostKey) *MeshHostFacts {
	service := g.services[key.NamespacedName()]
	nodes := g.meshRoutes[key]
	if servicePort(service, key.BackendKey) == nil || key.Consumer != "" && len(nodes) == 0 {
		return nil
	}
	f := &MeshHostFacts{
		Key: key.BackendKey, Addresses: g.meshAddresses(service), TLS: g.tlsPolicy(key.BackendKey) != nil, Mesh: g.meshName(),
	}
	for _, route := range oldestFirst(nodes) {
		f.Routes = append(f.Routes, route.inMesh())
	}
	return f
}

// inMesh returns the facts of a route with its rules as the mesh executes them.
func (f *RouteFacts) inMesh() *RouteFacts {
	out := *f
	out.Rules = f.MeshRules
	return &out
}

// serviceParent: "ParentRefs from a Route to a Service in the same namespace are producer routes, which apply default routing
// rules to inbound connections from any namespace to the Service. ParentRefs from a Route to a Service in a different namespace
// are consumer routes, and these routing rules are only applied to outbound connections originating from the same namespace as
// the Route."
func (g *Graph) serviceParent(f *RouteFacts, p *ParentFacts, name types.NamespacedName) {
	p.Service = &name
	key := serviceKey(name)
	service := g.services[name]
	if service == nil {
		p.Missing = true
		p.Unaccepted = newProblem(gwv1.RouteReasonNoMatchingParent, "%s does not exist", key)
		return
	}
	p.Managed = true
	if p.Unaccepted = streamOfMesh(f, key); p.Unaccepted != nil {
		return
	}
	p.Unresolved = firstUnresolved(f.MeshRules)
	var ports []int32
	for port := range servicePorts(service) {
		if selectsServicePort(p.Ref, port) {
			ports = append(ports, port.Port)
		}
	}
	if len(ports) == 0 {
		p.Unaccepted = newProblem(gwv1.RouteReasonNoMatchingParent,
			"%s has no TCP port with the parentRef's sectionName and port; a Service of type ExternalName has none", key)
		return
	}
	if p.Unaccepted = allRulesInvalid(f.MeshRules); p.Unaccepted != nil {
		return
	}
	p.ServicePorts = ports
	for i := range f.MeshRules {
		p.NeedsProxy = firstProblem(p.NeedsProxy, f.MeshRules[i].NeedsProxy)
	}
}

// streamOfMesh: "All types currently defined in the gateway-api core are available for use in a Mesh implementation" (GEP-1294). In
// this one, streams pass sidecars as they are, and proxyless clients send none.
func streamOfMesh(f *RouteFacts, service Key) *Problem {
	if f.readsHTTP() {
		return nil
	}
	return newProblem(gwv1.RouteReasonNotAllowedByListeners,
		"%s accepts HTTPRoutes and GRPCRoutes only: the mesh routes requests, and passes on streams as they are", service)
}

// selectsServicePort: "SectionName is ... Port name. When both Port and SectionName are specified, the name and port of
// the selected listener must match both specified values."
func selectsServicePort(ref gwv1.ParentReference, port *corev1.ServicePort) bool {
	return (ref.SectionName == nil || *ref.SectionName == "" || string(*ref.SectionName) == port.Name) &&
		(ref.Port == nil || *ref.Port == port.Port)
}

// headlessWarnings: "Headless Services SHOULD NOT be supported as a parentRef, because they do not implement the frontend
// functionality of a service" (GEP-1294). Proxyless clients, who dial a name, have no need of it.
func (g *Graph) headlessWarnings(f *RouteFacts) []string {
	var warnings []string
	for i := range f.Refs {
		target := parentKey(f.Refs[i], f.Key.Namespace)
		if target.Kind != KindService {
			continue
		}
		if service := g.services[target.NamespacedName()]; service != nil && service.Spec.ClusterIP == corev1.ClusterIPNone {
			warnings = append(warnings, fmt.Sprintf("spec.parentRefs[%d] has no effect for clients with a sidecar: %s is headless, so that "+
				"nothing tells connections to it from others; proxyless gRPC clients execute the route", i, target))
		}
	}
	return warnings
}

func (g *Graph) joinMeshHost(key MeshHostKey, n *routeNode, d *Dirty) {
	g.meshRoutes.add(key, n)
	if key.Consumer != "" {
		g.meshConsumers.add(key.BackendKey, key.Consumer)
	}
	d.meshHost(key)
}

func (g *Graph) leaveMeshHost(key MeshHostKey, n *routeNode, d *Dirty) {
	g.meshRoutes.remove(key, n)
	if key.Consumer != "" && len(g.meshRoutes[key]) == 0 {
		g.meshConsumers.remove(key.BackendKey, key.Consumer)
	}
	d.meshHost(key)
}

// meshHostChanged marks a port of a Service as it is for every client.
func (g *Graph) meshHostChanged(port BackendKey, d *Dirty) {
	for _, key := range g.meshHostsOf(port) {
		d.meshHost(key)
	}
}

func compareMeshHosts(a, b MeshHostKey) int {
	return cmp.Or(compareBackends(a.BackendKey, b.BackendKey), cmp.Compare(a.Consumer, b.Consumer))
}
