package graph

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

const appProtocolH2C = "kubernetes.io/h2c"

// appProtocols are the values of appProtocol that each kind of route can be forwarded with: those of KEP-3726 and the
// IANA names for the same. gRPC needs HTTP/2, which a port without appProtocol is asked to speak if a GRPCRoute refers
// to it.
var appProtocols = map[Kind][]string{
	KindHTTPRoute: {"http", "grpc", appProtocolH2C, "kubernetes.io/ws"},
	KindGRPCRoute: {"grpc", appProtocolH2C},
}

// needsTLS says whether an appProtocol is for a kind of route "only if there is a corresponding BackendTLSPolicy"
// (GEP-1911), which says whom to trust. Names of IANA are in lower case; https is often written otherwise.
func needsTLS(route Kind, appProtocol string) bool {
	return strings.EqualFold(appProtocol, "https") || route == KindHTTPRoute && appProtocol == "kubernetes.io/wss"
}

// ReasonInvalidBackendTLSPolicy is the reason of ResolvedRefs for a backend whose connections are to use TLS, but can't:
// the specification has none.
const ReasonInvalidBackendTLSPolicy = "InvalidBackendTLSPolicy"

// backendKey returns what a backendRef of an object in a namespace refers to, if it is of a kind that is supported: "Defaults
// to Service when not specified."
func backendKey(ref *gwv1.BackendObjectReference, namespace string) (target Key, known bool) {
	kind := Kind(valueOr(ref.Kind, gwv1.Kind(KindService)))
	if kind != KindService && kind != KindBackend || valueOr(ref.Group, "") != groupOf(kind) {
		return Key{}, false
	}
	return Key{Kind: kind, Namespace: namespaceOr(ref.Namespace, namespace), Name: string(ref.Name)}, true
}

// An origin is a route that refers to backends, for Gateways or for the mesh.
type origin struct {
	Key
	mesh bool
}

// mayReferTo says whether a route may refer to a backend. In a mesh, "routes of either type can send traffic to backendRefs in any
// namespace. Unlike Gateway bound routes, this is allowed without a ReferenceGrant" (GEP-1294): a route opens no Service to
// clients that couldn't reach it before. An XBackend isn't such a Service, and is somebody's way out of the cluster.
func (g *Graph) mayReferTo(from origin, target Key) bool {
	return from.mesh && target.Kind == KindService || g.permitted(from.Kind, from.Namespace, target)
}

// backend resolves a reference to a backend. Its rules are asked in an order that tells nothing about a Service or an XBackend
// to whom no ReferenceGrant allows to refer to it.
func (g *Graph) backend(from origin, ref *gwv1.BackendObjectReference, weight int32) BackendFacts {
	b := BackendFacts{Weight: weight}
	target, known := backendKey(ref, from.Namespace)
	if !known {
		b.Problem = invalidKind(ref)
		return b
	}
	b.Backend = BackendKey{Key: target, Port: valueOr(ref.Port, 0), UDP: from.Kind == KindUDPRoute && target.Kind == KindService}
	if !g.mayReferTo(from, target) {
		b.Problem = notPermitted(gwv1.RouteReasonRefNotPermitted, from.Kind, from.Namespace, target)
		return b
	}
	if target.Kind == KindBackend {
		g.xbackend(from, ref, &b)
	} else {
		g.service(from, ref, &b)
	}
	return b
}

// service resolves a reference to a Service that is permitted.
func (g *Graph) service(from origin, ref *gwv1.BackendObjectReference, b *BackendFacts) {
	target := b.Backend.Key
	service := g.services[target.NamespacedName()]
	if b.Problem = externalName(target, service); b.Problem != nil {
		b.Backend = BackendKey{}
		return
	}
	if b.Problem = firstProblem(backendNotFound(target, ref.Port, service), wrongTransport(b.Backend, service)); b.Problem != nil {
		return
	}
	b.AppProtocol = valueOr(servicePort(service, b.Backend).AppProtocol, "")
	b.HTTP2 = isHTTP2(b.AppProtocol)
	policy := g.tlsPolicy(b.Backend)
	b.TLS = policy != nil
	b.Problem = firstProblem(unsupportedBackendProtocol(from.Kind, *b), invalidTLSPolicy(b.Backend, policy))
}

// unsupportedBackendProtocol says why a kind of route can't send what the backend speaks.
func unsupportedBackendProtocol(route Kind, b BackendFacts) *Problem {
	if b.Backend.Kind == KindBackend {
		return unsupportedXBackendProtocol(route, b)
	}
	return unsupportedAppProtocol(route, b)
}

// invalidTLSPolicy: "For an invalid BackendTLSPolicy, implementations MUST NOT fall back to unencrypted (plaintext)
// connections. Instead, the corresponding TLS connection MUST fail, and the client MUST receive an HTTP 5xx error
// response." The policy's own status says what is wrong with it.
func invalidTLSPolicy(key BackendKey, policy *tlsPolicyNode) *Problem {
	if policy == nil || policy.validation.invalid == nil {
		return nil
	}
	return newProblem(ReasonInvalidBackendTLSPolicy, "%s, which port %d of Service %s is to be connected to by, is not valid",
		tlsPolicyKey(namespacedName(policy.object)), key.Port, key.NamespacedName())
}

// invalidKind: "It refers to an unknown or unsupported kind of resource. In this case, the Reason must be set to
// InvalidKind and Message of the Condition must explain which kind of resource is unknown or unsupported."
func invalidKind(ref *gwv1.BackendObjectReference) *Problem {
	return newProblem(gwv1.RouteReasonInvalidKind, "kind %s is not supported; refer to a Service or an XBackend.gateway.networking.x-k8s.io",
		groupKind(valueOr(ref.Group, ""), valueOr(ref.Kind, gwv1.Kind(KindService))))
}

// externalName: "Implementations SHOULD NOT support ExternalName Services", which "may not be safe to forward to (see
// CVE-2021-25740)". The Service exists, so its type is what is not supported: InvalidKind.
func externalName(target Key, service *corev1.Service) *Problem {
	if service == nil || service.Spec.Type != corev1.ServiceTypeExternalName {
		return nil
	}
	return newProblem(gwv1.RouteReasonInvalidKind, "%s is of type ExternalName, which is not supported; an XBackend can refer to a host outside of the cluster", target)
}

// backendNotFound: "It refers to a resource that does not exist. In this case, the Reason must be set to BackendNotFound
// and the Message of the Condition must explain which resource does not exist." And: "Port is required when the referent
// is a Kubernetes Service."
func backendNotFound(target Key, port *gwv1.PortNumber, service *corev1.Service) *Problem {
	switch {
	case service == nil:
		return newProblem(gwv1.RouteReasonBackendNotFound, "%s does not exist", target)
	case port == nil:
		return newProblem(gwv1.RouteReasonBackendNotFound, "the port of %s must be set", target)
	case !slices.ContainsFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == *port }):
		return newProblem(gwv1.RouteReasonBackendNotFound, "%s has no port %d", target, *port)
	}
	return nil
}

// wrongTransport: "If a Route is not able to send traffic to the backend using the specified protocol then the backend is
// considered invalid." UDPRoutes send to UDP ports, all others to TCP ports.
func wrongTransport(key BackendKey, service *corev1.Service) *Problem {
	if servicePort(service, key) != nil {
		return nil
	}
	transport := corev1.ProtocolTCP
	if key.UDP {
		transport = corev1.ProtocolUDP
	}
	return newProblem(gwv1.RouteReasonUnsupportedProtocol, "port %d of Service %s is not a %s port", key.Port, key.NamespacedName(), transport)
}

// unsupportedAppProtocol: "It refers to a Kubernetes Service that has an incompatible appProtocol for the given Route
// type." "Implementations MUST set the ResolvedRefs condition to False with the UnsupportedProtocol reason."
func unsupportedAppProtocol(route Kind, b BackendFacts) *Problem {
	supported, reads := appProtocols[route]
	if !reads || b.AppProtocol == "" || slices.Contains(supported, b.AppProtocol) {
		return nil
	}
	if needsTLS(route, b.AppProtocol) {
		if b.TLS {
			return nil
		}
		return newProblem(gwv1.RouteReasonUnsupportedProtocol, "port %d of Service %s has appProtocol %s, which needs a BackendTLSPolicy that says whom to trust",
			b.Backend.Port, b.Backend.NamespacedName(), b.AppProtocol)
	}
	return newProblem(gwv1.RouteReasonUnsupportedProtocol, "port %d of Service %s has appProtocol %s, which %ss do not support; they support %s",
		b.Backend.Port, b.Backend.NamespacedName(), b.AppProtocol, route, strings.Join(supported, ", "))
}

// ruleBackend resolves the i-th of a rule's backendRefs. A weight that isn't set "defaults to 1". The session persistence
// is that of the rule, if it has any.
func (g *Graph) ruleBackend(from origin, rule ruleID, i int, ref *gwv1.BackendRef, session *SessionFacts) BackendFacts {
	b := g.backend(from, &ref.BackendObjectReference, valueOr(ref.Weight, 1))
	b.Session = g.backendSession(session, &b)
	if b.Problem != nil {
		b.Problem = b.Problem.in(rule.field(backendRefField(i)))
	}
	return b
}

func backendRefField(i int) string { return fmt.Sprintf("backendRefs[%d]", i) }
