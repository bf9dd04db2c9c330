package graph

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// MeshHosts returns the ports of Services that mesh clients can ask for, sorted: every TCP port of every Service that
// isn't an ExternalName.
func (g *Graph) MeshHosts() []BackendKey {
	var keys []BackendKey
	for name, service := range g.services {
		for port := range servicePorts(service) {
			keys = append(keys, ServiceBackend(name, port.Port))
		}
	}
	slices.SortFunc(keys, compareBackends)
	return keys
}

// MeshHost returns what is true of a port of a Service for mesh clients, or nil if there is no such port.
func (g *Graph) MeshHost(key BackendKey) *MeshHostFacts {
	if servicePort(g.services[key.NamespacedName()], key) == nil {
		return nil
	}
	return &MeshHostFacts{Key: key, Routes: oldestFirst(g.meshRoutes[key]), TLS: g.tlsPolicy(key) != nil, Mesh: g.meshName()}
}

// serviceParent: "ParentRefs from a Route to a Service in the same namespace are producer routes, which apply default
// routing rules to inbound connections from any namespace to the Service."
func (g *Graph) serviceParent(f *RouteFacts, p *ParentFacts, name types.NamespacedName) {
	p.Service = &name
	key := Key{Kind: KindService, Namespace: name.Namespace, Name: name.Name}
	service := g.services[name]
	if service == nil {
		p.Missing = true
		p.Unaccepted = newProblem(gwv1.RouteReasonNoMatchingParent, "%s does not exist", key)
		return
	}
	p.Managed = true
	if p.Unaccepted = firstProblem(streamOfMesh(f, key), consumerRoute(f.Key, key)); p.Unaccepted != nil {
		return
	}
	for port := range servicePorts(service) {
		if selectsServicePort(p.Ref, port) {
			p.ServicePorts = append(p.ServicePorts, port.Port)
		}
	}
	if len(p.ServicePorts) == 0 {
		p.Unaccepted = newProblem(gwv1.RouteReasonNoMatchingParent,
			"%s has no TCP port with the parentRef's sectionName and port; a Service of type ExternalName has none", key)
		return
	}
	rules := meshRules(f.Rules)
	if p.Unaccepted = allRulesInvalid(rules); p.Unaccepted != nil {
		p.ServicePorts = nil
		return
	}
	p.PartiallyInvalid = partiallyInvalid(rules)
}

// streamOfMesh: mesh clients are proxyless gRPC clients, which send nothing but gRPC.
func streamOfMesh(f *RouteFacts, service Key) *Problem {
	if f.readsHTTP() {
		return nil
	}
	return newProblem(gwv1.RouteReasonNotAllowedByListeners, "%s accepts HTTPRoutes and GRPCRoutes only: mesh clients speak nothing but gRPC", service)
}

// consumerRoute: "ParentRefs from a Route to a Service in a different namespace are consumer routes, and these routing
// rules are only applied to outbound connections originating from the same namespace as the Route." They are an extended
// feature (MeshConsumerRoute) that isn't supported. Of the reasons that the specification knows, NotAllowedByListeners
// says it best: the parent exists, but doesn't take routes from that namespace.
func consumerRoute(route, service Key) *Problem {
	if route.Namespace == service.Namespace {
		return nil
	}
	return newProblem(gwv1.RouteReasonNotAllowedByListeners,
		"%s accepts routes from its own namespace only; consumer routes are not supported", service)
}

// selectsServicePort: "SectionName is ... Port name. When both Port and SectionName are specified, the name and port of
// the selected listener must match both specified values."
func selectsServicePort(ref gwv1.ParentReference, port *corev1.ServicePort) bool {
	return (ref.SectionName == nil || *ref.SectionName == "" || string(*ref.SectionName) == port.Name) &&
		(ref.Port == nil || *ref.Port == port.Port)
}
