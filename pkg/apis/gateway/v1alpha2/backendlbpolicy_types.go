package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BackendLBPolicy says how requests are spread over the endpoints of backends. It shows the same objects as
// XBackendTrafficPolicy of gateway.networking.x-k8s.io, which releases of the Gateway API since v1.3 have in its place.
// +k8s:conversion-gen=false
type BackendLBPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the policy asks for.
	Spec BackendLBPolicySpec `json:"spec"`

	// Status tells, for each Gateway that the policy concerns, whether its controller has accepted the policy.
	Status gatewayv1.PolicyStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BackendLBPolicyList is a list of BackendLBPolicies.
// +k8s:conversion-gen=false
type BackendLBPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BackendLBPolicy `json:"items"`
}

// BackendLBPolicySpec is what a BackendLBPolicy asks for. An XBackendTrafficPolicy can also limit retries: that stays in
// force, but this version doesn't show it, and drops it when the targets are changed here.
// +k8s:conversion-gen=false
type BackendLBPolicySpec struct {
	// TargetRefs name the backends, normally Services of the namespace of the policy.
	//
	// +listType=map
	// +listMapKey=group
	// +listMapKey=kind
	// +listMapKey=name
	TargetRefs []gatewayv1.LocalPolicyTargetReference `json:"targetRefs"`

	// SessionPersistence makes the requests of a session go to the same endpoint.
	//
	// +optional
	SessionPersistence *SessionPersistence `json:"sessionPersistence,omitempty"`
}

// SessionPersistence is how sessions are recognized and how long they last.
// +k8s:conversion-gen=false
type SessionPersistence struct {
	// SessionName is the name of the cookie or header that carries the session. Without it, one is chosen.
	//
	// +optional
	SessionName *string `json:"sessionName,omitempty"`

	// AbsoluteTimeout is how long a session lasts, however much it is used.
	//
	// +optional
	AbsoluteTimeout *gatewayv1.Duration `json:"absoluteTimeout,omitempty"`

	// IdleTimeout is how long a session lasts without being used. Later releases have no such field. It is kept, but
	// only this version shows it.
	//
	// +optional
	IdleTimeout *gatewayv1.Duration `json:"idleTimeout,omitempty"`

	// Type is Cookie or Header: where clients send the session.
	//
	// +optional
	Type *gatewayv1.SessionPersistenceType `json:"type,omitempty"`

	// CookieConfig says more about the cookie. Only for type Cookie.
	//
	// +optional
	CookieConfig *gatewayv1.CookieConfig `json:"cookieConfig,omitempty"`
}
