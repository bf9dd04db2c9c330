package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// XListenerSet adds listeners to a Gateway that allows it. It shows the same objects as ListenerSet of
// gateway.networking.k8s.io, which releases of the Gateway API since v1.5 have in its place.
type XListenerSet struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the Gateway and the listeners for it.
	Spec ListenerSetSpec `json:"spec"`

	// Status tells whether the Gateway serves the listeners.
	//
	// +optional
	Status ListenerSetStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// XListenerSetList is a list of XListenerSets.
type XListenerSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []XListenerSet `json:"items"`
}

// ListenerSetSpec is the Gateway that listeners are added to, and the listeners.
type ListenerSetSpec struct {
	// ParentRef names the Gateway. Its spec.allowedListeners has to allow the namespace of this object.
	ParentRef gatewayv1.ParentGatewayReference `json:"parentRef"`

	// Listeners are added to those of the Gateway. Where listeners of several objects conflict, those of the Gateway come
	// first, then those of the older object, then those of the object whose namespace and name come first.
	//
	// +listType=map
	// +listMapKey=name
	Listeners []ListenerEntry `json:"listeners"`
}

// ListenerEntry is a port and protocol at which the Gateway accepts connections.
type ListenerEntry struct {
	// Name tells the listener from the others of this object. A route names it as sectionName of a parentRef that names
	// this object.
	Name gatewayv1.SectionName `json:"name"`

	// Hostname narrows the listener to a host, or with "*." in front to the hosts below a domain: by the server name of
	// a TLS connection, by the Host header of an HTTP request, by both for HTTPS. Without it, the listener is for all.
	//
	// +optional
	Hostname *gatewayv1.Hostname `json:"hostname,omitempty"`

	// Port is the number of the port. Without one, or with 0, the controller may choose a port or refuse the listener.
	//
	// +optional
	Port gatewayv1.PortNumber `json:"port,omitempty"`

	// Protocol is what clients speak to the listener: HTTP, HTTPS, TLS, TCP or UDP, or one that the controller defines.
	Protocol gatewayv1.ProtocolType `json:"protocol"`

	// TLS has the certificates of the listener and says where TLS ends. Only for protocols HTTPS and TLS, which need it.
	//
	// +optional
	TLS *gatewayv1.ListenerTLSConfig `json:"tls,omitempty"`

	// AllowedRoutes says which routes may attach: of which kinds, from which namespaces.
	//
	// +optional
	AllowedRoutes *gatewayv1.AllowedRoutes `json:"allowedRoutes,omitempty"`
}

// ListenerSetStatus tells whether a Gateway serves the listeners.
type ListenerSetStatus struct {
	// Conditions are Accepted, whether the Gateway takes the listeners, and Programmed, whether the data plane has them.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Listeners tell the same of each listener.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	Listeners []ListenerEntryStatus `json:"listeners,omitempty"`
}

// ListenerEntryStatus is the status of a listener.
type ListenerEntryStatus struct {
	// Name is the name of the listener.
	Name gatewayv1.SectionName `json:"name"`

	// Port is the number of the port, as in spec.
	Port gatewayv1.PortNumber `json:"port"`

	// SupportedKinds are the kinds of routes that can attach to the listener.
	//
	// +listType=atomic
	SupportedKinds []gatewayv1.RouteGroupKind `json:"supportedKinds"`

	// AttachedRoutes is the number of routes that are attached to the listener.
	AttachedRoutes int32 `json:"attachedRoutes"`

	// Conditions are Accepted, Programmed, ResolvedRefs and Conflicted.
	//
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions"`
}
