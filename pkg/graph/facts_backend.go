package graph

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)

// BackendPortFacts is a port of a Service or of an XBackend, with what is behind it; or all that a UDPRoute sends to.
type BackendPortFacts struct {
	Key BackendKey
	// HTTP2 is that of every BackendFacts of the port.
	HTTP2 bool
	// TLS is how connections are secured; nil if they aren't, or if a BackendTLSPolicy that isn't valid rules them, in which
	// case every BackendFacts of the port has a Problem, and nothing connects.
	TLS *BackendTLSFacts
	// RetryBudget limits the retries towards the backend; nil if no policy does.
	RetryBudget *RetryBudgetFacts
	// Port is that of a Service, and Slices the EndpointSlices of the Service that can be forwarded to, ordered by name.
	Port   *corev1.ServicePort
	Slices []*discoveryv1.EndpointSlice
	// Shares are those of a UDPRoute.
	Shares []ShareFacts
	// Hostname is the name by which an XBackend is found in DNS, without a dot at its end; empty for a Service.
	Hostname string
	// Protocol is what an XBackend is known to speak; empty for a Service, and if the route is to say.
	Protocol gwxv1alpha1.BackendProtocol
}

// XBackendFacts is what is true of an XBackend.
type XBackendFacts struct {
	Object *gwxv1alpha1.XBackend
	// Ancestors are the Gateways of ours that use it by a route, sorted.
	Ancestors []gwv1.ParentReference
	// Rejected says for which of Ancestors nodes have rejected what was made of it; nil if none have.
	Rejected map[types.NamespacedName]*RejectionFacts
	// Unaccepted: Invalid, NoValidCACertificate, InvalidClientCertificateRef, RefNotPermitted. Nothing connects to it then.
	Unaccepted *Problem
	// Unresolved: InvalidKind, InvalidCACertificateRef, InvalidClientCertificateRef, RefNotPermitted.
	Unresolved *Problem
	// Warnings name fields that have no effect or another one, and what isn't safe.
	Warnings []string
}

// XMeshFacts is what is true of an XMesh.
type XMeshFacts struct {
	Object *gwxv1alpha1.XMesh
	// Managed says that the XMesh names our controller. Nothing else is true of one that doesn't.
	Managed bool
	// Unaccepted: InvalidParameters.
	Unaccepted *Problem
	// Overruled says that another XMesh gives the mesh its name.
	Overruled bool
	// Warnings name fields that have no effect, and why.
	Warnings []string
}
