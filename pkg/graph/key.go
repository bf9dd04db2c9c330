package graph

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Kind names a kind of object that the graph holds.
type Kind string

// The kinds that the graph holds. Names are unique over the API groups involved.
const (
	KindGatewayClass   Kind = "GatewayClass"
	KindGateway        Kind = "Gateway"
	KindListenerSet    Kind = "ListenerSet"
	KindHTTPRoute      Kind = "HTTPRoute"
	KindGRPCRoute      Kind = "GRPCRoute"
	KindTLSRoute       Kind = "TLSRoute"
	KindTCPRoute       Kind = "TCPRoute"
	KindUDPRoute       Kind = "UDPRoute"
	KindReferenceGrant Kind = "ReferenceGrant"
	KindMesh           Kind = "XMesh"
	KindEnvoyFleet     Kind = "EnvoyFleet"
	KindNamespace      Kind = "Namespace"
	KindService        Kind = "Service"
	KindSecret         Kind = "Secret"
	KindEndpointSlice  Kind = "EndpointSlice"
	KindConfigMap      Kind = "ConfigMap"

	KindBackendTLSPolicy     Kind = "BackendTLSPolicy"
	KindBackendTrafficPolicy Kind = "XBackendTrafficPolicy"
	KindBackend              Kind = "XBackend"
)

// Key identifies an object of the graph, present or missing. Namespace is empty for cluster-scoped kinds.
type Key struct {
	Kind      Kind
	Namespace string
	Name      string
}

// String returns "Kind namespace/name", the form used in messages.
func (k Key) String() string {
	if k.Namespace == "" {
		return fmt.Sprintf("%s %s", k.Kind, k.Name)
	}
	return fmt.Sprintf("%s %s/%s", k.Kind, k.Namespace, k.Name)
}

// NamespacedName drops the kind.
func (k Key) NamespacedName() types.NamespacedName {
	return types.NamespacedName{Namespace: k.Namespace, Name: k.Name}
}

// BackendKey identifies a port of a backend, present or missing; or the backends of a UDPRoute, see UDPRouteBackend.
type BackendKey struct {
	Key  // of the Service or the XBackend
	Port int32
	UDP  bool // the port of that number for UDP; of a Service only
}

// ServiceBackend is the key of a TCP port of a Service.
func ServiceBackend(service types.NamespacedName, port int32) BackendKey {
	return BackendKey{Key: Key{Kind: KindService, Namespace: service.Namespace, Name: service.Name}, Port: port}
}

// String returns "namespace/service:port", with "/udp" after it for UDP, "xbackend/namespace/name:port", or
// "udproute/namespace/name".
func (b BackendKey) String() string {
	if b.Kind == KindUDPRoute {
		return "udproute/" + b.NamespacedName().String()
	}
	name := b.Namespace + "/" + b.Name + ":" + strconv.Itoa(int(b.Port))
	if b.Kind == KindBackend {
		name = "xbackend/" + name
	}
	if b.UDP {
		name += "/udp"
	}
	return name
}

// MeshHostKey identifies a port of a Service as it is for some clients of the mesh.
type MeshHostKey struct {
	BackendKey
	// Consumer is the namespace whose consumer routes hold for its clients, or empty for all clients of whose namespaces there is
	// none for the port.
	Consumer string
}

// String returns that of BackendKey, and " from namespace" after it if there is a Consumer.
func (k MeshHostKey) String() string {
	if k.Consumer == "" {
		return k.BackendKey.String()
	}
	return k.BackendKey.String() + " from " + k.Consumer
}

// ListenerKey identifies a listener: a section of a Gateway or of a ListenerSet.
type ListenerKey struct {
	Parent Key
	Name   gwv1.SectionName
}

// A scope is what Envoy nodes are configured as one: a Gateway, or an EnvoyFleet that merges its Gateways. It is identified by
// the Key of that object.

// TableKey identifies a table of virtual hosts, which becomes one Envoy RouteConfiguration. The HTTP listeners of a
// port share a table, because one Envoy listener serves them; an HTTPS listener has a table of its own, because the
// server name (SNI) has chosen the listener before any Host header is read.
type TableKey struct {
	Scope Key
	Port  int32
	// Listener tells the tables of a port's HTTPS listeners apart; empty for the shared table of its HTTP listeners. It is
	// the section name for a listener of the scope's Gateway, "kind/namespace/name/section" for another one.
	Listener string
}

// VirtualHostKey identifies a virtual host: the requests of a table whose host matches Domain best.
type VirtualHostKey struct {
	Table  TableKey
	Domain string // a hostname, a wildcard such as "*.example.com", or "*"; empty for VirtualHostFacts.Misdirected
}

// StreamKey identifies what a listener forwards without reading HTTP: all of a TCP or UDP listener, or the connections of a
// TLS listener whose server name (SNI) matches Domain best.
type StreamKey struct {
	Listener ListenerKey
	Domain   string // as VirtualHostKey.Domain; empty for TCP and UDP
}
