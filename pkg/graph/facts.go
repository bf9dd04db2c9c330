package graph

import (
	"crypto/x509"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// ControllerName is the value of GatewayClass.spec.controllerName by which a class chooses this implementation.
const ControllerName gwv1.GatewayController = "gateway-apiserver.dev/controller"

// A Problem is a rule of the specification that does not hold, with the reason that the specification gives it. A nil
// *Problem means that the rule holds.
type Problem struct {
	Reason  string // a condition reason of the Gateway API, e.g. "BackendNotFound"
	Message string // for the user: names the field, what is wrong and what would mend it
}

// GatewayClassFacts is what is true of a GatewayClass.
type GatewayClassFacts struct {
	Object *gwv1.GatewayClass
	// Managed says that the class names our controller. Nothing else is true of a class that doesn't.
	Managed bool
	// Unaccepted: InvalidParameters (spec.parametersRef names a kind that isn't supported or doesn't exist).
	Unaccepted *Problem
	// Fleet is what spec.parametersRef refers to; nil if there is none, or none that can be used.
	Fleet *EnvoyFleetFacts
	// Provisions says that the Envoys of the class's Gateways are run by this server, as Fleet wants it.
	Provisions bool
}

// GatewayFacts is what is true of a Gateway.
type GatewayFacts struct {
	Object *gwv1.Gateway
	// Managed says that the class exists and names our controller. Nothing else is said about a Gateway of another controller.
	Managed bool
	// ClassMissing says that the class doesn't exist, so that the Gateway is nobody's.
	ClassMissing bool
	// Scope is what the Gateway is served in; see TableKey.
	Scope Key
	// Fleet is what spec.infrastructure.parametersRef, or else that of the class, refers to; nil if there is none, or none that can be used.
	Fleet *EnvoyFleetFacts
	// Listeners are those of spec.listeners, and then those of the ListenerSets that are attached, in the order of
	// precedence; ListenerFacts.Key says whose each is.
	Listeners []*ListenerFacts
	// AttachedRoutes counts, for each listener of spec.listeners, the routes that are accepted there.
	AttachedRoutes []int32
	// AttachedListenerSets counts the ListenerSets that are attached and accepted.
	AttachedListenerSets int32
	// Unaccepted: Invalid, InvalidParameters, UnsupportedAddress; ListenersNotValid when no listener is valid.
	Unaccepted *Problem
	// SomeListenersInvalid: the Gateway is accepted, with reason ListenersNotValid.
	SomeListenersInvalid *Problem
	// Unprogrammed: Invalid, AddressNotAssigned, AddressNotUsable.
	Unprogrammed *Problem
	// Unresolved: RefNotPermitted, InvalidClientCertificateRef, ListenersNotResolved.
	Unresolved *Problem
	// InsecureFrontend: ConfigurationChanged, the positive finding behind the InsecureFrontendValidationMode condition.
	InsecureFrontend *Problem
	// ClientCertificate is what backends that use TLS are shown; nil if there is none, or none that can be used.
	ClientCertificate *CertificateFacts
	// Addresses are where the Gateway is reached: those of spec.addresses, or of its fleet. Listeners bind them, unless the fleet
	// has a bindAddress; without any, they bind every address.
	Addresses []string
	// Infrastructure is what is true of the objects in the cluster that the Gateway is to have; nil if it is to have none.
	Infrastructure *InfrastructureFacts
	// Rejected says that nodes have rejected listeners or secrets of the Gateway.
	Rejected *RejectionFacts
	// Delivery is nil if nothing new is to be said of it.
	Delivery *DeliveryFacts
	// Warnings name fields that have no effect, and why.
	Warnings []string
}

// ListenerFacts is what is true of a listener whatever routes there are.
type ListenerFacts struct {
	Key ListenerKey
	// Spec is the entry in spec.listeners of the Gateway or the ListenerSet.
	Spec  *gwv1.Listener
	Index int // in spec.listeners
	// Hostname is spec.hostname in lower case; empty matches every host.
	Hostname string
	// SupportedKinds are the route kinds that may attach: those of allowedRoutes.kinds that the protocol supports.
	SupportedKinds []gwv1.RouteGroupKind
	// Conflict: HostnameConflict or ProtocolConflict with another listener of the Gateway.
	Conflict *Problem
	// Unaccepted: UnsupportedProtocol, UnsupportedValue, NoValidCACertificate, PortUnavailable (a conflict counts too:
	// Accepted takes its reason).
	Unaccepted *Problem
	// Unresolved: InvalidCertificateRef, InvalidCACertificateRef, InvalidCACertificateKind, InvalidRouteKinds,
	// RefNotPermitted. The first that was found.
	Unresolved *Problem
	// Unprogrammed: Invalid or Pending; set when Unaccepted is, and when nothing is left that could be served.
	Unprogrammed *Problem
	// Overlapping: OverlappingHostnames, the positive finding behind the OverlappingTLSConfig condition.
	Overlapping *Problem
	// Certificates are the resolved certificateRefs of a listener that terminates TLS, in their order.
	Certificates []CertificateFacts
	// ClientValidation is what an HTTPS listener asks of its clients' certificates; nil if it asks for none.
	ClientValidation *ClientValidationFacts
	// Rejected says that nodes have rejected the listener.
	Rejected *RejectionFacts
}

// CertificateFacts is a resolved reference to a Secret of type kubernetes.io/tls whose key and certificate match.
type CertificateFacts struct {
	Secret types.NamespacedName
	Chain  []byte // PEM, from tls.crt
	Key    []byte // PEM, from tls.key
	// Names are the DNS names of the certificate (subjectAltName), in lower case, sorted; wildcards stand for one label.
	Names []string
	// KeyType is that of the key.
	KeyType x509.PublicKeyAlgorithm
}

// RouteFacts is what is true of a route.
type RouteFacts struct {
	Key Key
	// Exactly one of these is set: the route, by its kind.
	HTTP *gwv1.HTTPRoute
	GRPC *gwv1.GRPCRoute
	TLS  *gwv1.TLSRoute
	TCP  *gwv1.TCPRoute
	UDP  *gwv1.UDPRoute
	// Refs are spec.parentRefs, and then references to the default Gateways that the route uses and doesn't name.
	Refs []gwv1.ParentReference
	// Parents are in the order of Refs, unmanaged ones included.
	Parents []ParentFacts
	// Rules are in the order of spec.rules.
	Rules []RuleFacts
	// MeshRules are the Rules as they are for Services as parents, which need no ReferenceGrant; nil without such a parent, and of
	// routes that the mesh doesn't execute.
	MeshRules []RuleFacts
	// Unresolved: InvalidKind, BackendNotFound, RefNotPermitted, UnsupportedProtocol, InvalidBackendTLSPolicy,
	// InvalidBackend. The first over all Rules.
	Unresolved *Problem
	// PartiallyInvalid: UnsupportedValue, when some but not all rules are dropped or failing.
	// Its message starts with "Dropped Rule", as the specification asks.
	PartiallyInvalid *Problem
	// Warnings name fields that have no effect, and why.
	Warnings []string
}

// ParentFacts is what is true between a route and one of its parents.
type ParentFacts struct {
	Ref gwv1.ParentReference
	// Default says that the route doesn't name the parent, which is a default Gateway.
	Default bool
	// Managed says that the parent exists and is ours: a Gateway of a class of ours, or a Service. We write no status for other parents.
	Managed bool
	// Missing says that the parent does not exist, so that nobody can say anything about it in status.
	Missing bool
	// ClassMissing says that the parent is a Gateway whose class does not exist.
	ClassMissing bool
	// The target of the reference, by kind; at most one is set.
	Gateway     *types.NamespacedName
	ListenerSet *types.NamespacedName
	Service     *types.NamespacedName
	// Unaccepted: NotAllowedByListeners, NoMatchingListenerHostname, NoMatchingParent (also of a Missing parent),
	// UnsupportedValue, IncompatibleFilters.
	Unaccepted *Problem
	// Attachments are the listeners of the parent that accept the route; empty if Unaccepted.
	Attachments []Attachment
	// ServicePorts are the ports of the parent Service that the route governs; empty if Unaccepted.
	ServicePorts []int32
	// Unresolved is RouteFacts.Unresolved, or that of MeshRules if the parent is a Service.
	Unresolved *Problem
	// NeedsProxy is that of the first of MeshRules that has one, if the parent is a Service that accepts the route.
	NeedsProxy *Problem
	// Rejected says that nodes of the parent have rejected what was made of the route, or of a backend of it.
	Rejected *RejectionFacts
}

// Consumer says that the parent is a Service of another namespace than the route's.
func (p *ParentFacts) Consumer(route Key) bool {
	return p.Service != nil && p.Service.Namespace != route.Namespace
}

// Attachment is a listener that accepts a route.
type Attachment struct {
	Listener ListenerKey
	// Gateway is the one whose listener it is, by a ListenerSet or not.
	Gateway types.NamespacedName
	// Hostnames are the intersections of the route's hostnames with the listener's, "*" when both match everything. A
	// TCPRoute or a UDPRoute has none.
	Hostnames []string
}

// VirtualHostFacts is a virtual host and the routes that may answer there, the oldest first (creationTimestamp, then
// namespace/name). A virtual host without routes answers 404: it keeps a listener's hostname from less specific listeners.
//
// Dirty.VirtualHosts and Dirty.MeshHosts follow the specs and Rules of the routes, not their other facts.
type VirtualHostFacts struct {
	Key VirtualHostKey
	// Misdirected are the hostnames of the other listeners of the port, sorted, if these are the requests of a table that a
	// client sends on a connection that it should not reuse: "the Gateway SHOULD return a 421" (Listener.Hostname). There are
	// no Routes then, and no domain.
	Misdirected []string
	Routes      []*RouteFacts
	// ClientCertificate is the Secret with the certificate that the Gateway shows to backends that use TLS; without a
	// name if there is none.
	ClientCertificate types.NamespacedName
}

// ScopeFacts is what the nodes of a scope are configured by.
type ScopeFacts struct {
	Key Key
	// Gateways are those that are managed, in the order of precedence: one, unless they are merged.
	Gateways []*GatewayFacts
	// Streams are those of listeners that are programmed, in the order of the listeners and by domain. A TLS listener has one
	// for its own hostname, with or without routes.
	Streams []StreamFacts
}

// StreamFacts is what a listener forwards without reading HTTP, and the routes that may say where to, in the order of
// precedence: the first gets the traffic. Without any, or a backend, connections are closed, and packets dropped.
type StreamFacts struct {
	Key    StreamKey
	Routes []*RouteFacts
}

// MeshHostFacts is a port of a Service as some mesh clients see it.
type MeshHostFacts struct {
	Key BackendKey
	// Routes are those that name the Service as their parent, the oldest first, with MeshRules as their Rules. Without any,
	// requests go to the Service itself.
	Routes []*RouteFacts
	// Addresses are the cluster IPs of the Service, in its order. Of Services that have one in common, it is the oldest's.
	Addresses []string
	// TLS says that a BackendTLSPolicy rules the connections to the port, which proxyless clients cannot follow.
	TLS bool
	// Mesh is the name of the XMesh that is ours; empty if there is none.
	Mesh string
}

// SidecarFacts is what sidecars have in common, whatever routes there are.
type SidecarFacts struct {
	// IPv6 says that Services have cluster IPs of that family too.
	IPv6 bool
}

// Dirty is what may have changed through a change to the graph. Readers look each entry up again; one that is gone by
// then has to be removed from what they keep.
type Dirty struct {
	Statuses     map[Key]struct{} // objects with a status whose facts may be others
	Scopes       map[Key]struct{} // scopes whose Envoy listeners or secrets may be others
	VirtualHosts map[VirtualHostKey]struct{}
	MeshHosts    map[MeshHostKey]struct{}
	Sidecars     bool                    // what sidecars have in common may be other
	Backends     map[BackendKey]struct{} // ports of Services and XBackends whose protocol or endpoints may be others
	References   map[Key]struct{}        // Secrets and ConfigMaps that may have become Needed, or not any more
	// Fleets are EnvoyFleets whose nodes or Gateways may be others.
	Fleets map[types.NamespacedName]struct{}
	// Infrastructure are Gateways that may be to have something else in the cluster.
	Infrastructure map[types.NamespacedName]struct{}
}
