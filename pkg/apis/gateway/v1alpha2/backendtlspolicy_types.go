package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BackendTLSPolicy says how a Gateway speaks TLS to a backend: under which name, and which certificate authorities it
// trusts. This is the shape that only release v1.0 of the Gateway API had, with one target. Use v1.
// +k8s:conversion-gen=false
type BackendTLSPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the policy asks for.
	Spec BackendTLSPolicySpec `json:"spec"`

	// Status tells, for each Gateway that the policy concerns, whether its controller has accepted the policy.
	Status gatewayv1.PolicyStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BackendTLSPolicyList is a list of BackendTLSPolicies.
// +k8s:conversion-gen=false
type BackendTLSPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BackendTLSPolicy `json:"items"`
}

// BackendTLSPolicySpec is what a BackendTLSPolicy asks for.
// +k8s:conversion-gen=false
type BackendTLSPolicySpec struct {
	// TargetRef names the backend, which normally is a Service. A policy in v1 can have further targets: they stay in
	// force, but this version doesn't show them, and drops them when this one is changed here.
	TargetRef PolicyTargetReferenceWithSectionName `json:"targetRef"`

	// TLS is how connections to the target are secured.
	TLS BackendTLSPolicyConfig `json:"tls"`
}

// BackendTLSPolicyConfig is how a Gateway verifies the certificate of a backend. A policy in v1 can also name the
// subject alternative names to accept and set options: they stay in force, but this version doesn't show them, and
// drops them when one of these fields is changed here.
// +k8s:conversion-gen=false
type BackendTLSPolicyConfig struct {
	// CACertRefs refer to objects in the namespace of the policy that hold the PEM certificates of trusted authorities,
	// normally to one ConfigMap with the key ca.crt. Either this or wellKnownCACerts has to be set, not both.
	//
	// +optional
	CACertRefs []gatewayv1.LocalObjectReference `json:"caCertRefs,omitempty"`

	// WellKnownCACerts names a set of authorities to trust instead: System is what the data plane trusts by itself.
	//
	// +optional
	WellKnownCACerts *WellKnownCACertType `json:"wellKnownCACerts,omitempty"`

	// Hostname is sent to the backend as server name (SNI), and the certificate of the backend has to be valid for it.
	Hostname gatewayv1.PreciseHostname `json:"hostname"`
}

// WellKnownCACertType names a set of certificate authorities.
type WellKnownCACertType string

// WellKnownCACertSystem is the authorities that the data plane trusts by itself.
const WellKnownCACertSystem WellKnownCACertType = "System"

// PolicyTargetReferenceWithSectionName names an object that a policy is for, or a section of one.
type PolicyTargetReferenceWithSectionName struct {
	PolicyTargetReference `json:",inline"`

	// SectionName narrows the policy to a section of the object, which is the name of a port for a Service and that of a
	// listener for a Gateway. Without it, the policy is for the whole object.
	//
	// +optional
	SectionName *gatewayv1.SectionName `json:"sectionName,omitempty"`
}

// PolicyTargetReference names an object that a policy is for.
type PolicyTargetReference struct {
	// Group is the API group of the object, "" for a Service.
	Group gatewayv1.Group `json:"group"`

	// Kind is the kind of the object.
	Kind gatewayv1.Kind `json:"kind"`

	// Name is the name of the object.
	Name gatewayv1.ObjectName `json:"name"`

	// Namespace is the namespace of the object; without it, that of the policy. Later versions have no such field: there
	// a policy is for objects of its own namespace. It is kept, but only this version shows it.
	//
	// +optional
	Namespace *gatewayv1.Namespace `json:"namespace,omitempty"`
}
