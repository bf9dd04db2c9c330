package graph

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"
)

// Kind names a kind of object that the graph holds.
type Kind string

// The kinds that the graph holds. Names are unique over the API groups involved.
const (
	KindGatewayClass   Kind = "GatewayClass"
	KindGateway        Kind = "Gateway"
	KindHTTPRoute      Kind = "HTTPRoute"
	KindGRPCRoute      Kind = "GRPCRoute"
	KindReferenceGrant Kind = "ReferenceGrant"
	KindNamespace      Kind = "Namespace"
	KindService        Kind = "Service"
	KindSecret         Kind = "Secret"
	KindEndpointSlice  Kind = "EndpointSlice"
	KindConfigMap      Kind = "ConfigMap"

	KindBackendTLSPolicy     Kind = "BackendTLSPolicy"
	KindBackendTrafficPolicy Kind = "XBackendTrafficPolicy"
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

// BackendKey identifies a port of a Service, present or missing.
type BackendKey struct {
	Service types.NamespacedName
	Port    int32
}

// String returns "namespace/name:port".
func (b BackendKey) String() string { return fmt.Sprintf("%s:%d", b.Service, b.Port) }

// TableKey identifies a table of virtual hosts, which becomes one Envoy RouteConfiguration. The HTTP listeners of a
// port share a table, because one Envoy listener serves them; an HTTPS listener has a table of its own, because the
// server name (SNI) has chosen the listener before any Host header is read.
type TableKey struct {
	Gateway  types.NamespacedName
	Port     int32
	Listener string // the section name of an HTTPS listener; empty for the shared table of a port's HTTP listeners
}

// VirtualHostKey identifies a virtual host: the requests of a table whose host matches Domain best.
type VirtualHostKey struct {
	Table  TableKey
	Domain string // a hostname, a wildcard such as "*.example.com", or "*"
}
