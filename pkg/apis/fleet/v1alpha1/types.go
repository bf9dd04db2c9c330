package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// EnvoyFleet says how the Envoys that serve Gateways are found, reached and observed.
//
// A Gateway refers to it in spec.infrastructure.parametersRef, or all Gateways of a class do in the class's
// spec.parametersRef; the Gateway's own reference takes the place of that of its class as a whole. A reference to an
// EnvoyFleet that doesn't exist or is invalid is InvalidParameters.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:resource:categories=gateway-api,shortName=fleet
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Gateways",type=integer,JSONPath=`.status.gateways`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type EnvoyFleet struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the desired state of the fleet.
	// +optional
	Spec EnvoyFleetSpec `json:"spec,omitempty,omitzero"`

	// Status is what is true of the fleet.
	// +optional
	Status EnvoyFleetStatus `json:"status,omitempty,omitzero"`
}

// EnvoyFleetList is a list of EnvoyFleets.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
type EnvoyFleetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []EnvoyFleet `json:"items"`
}

// EnvoyFleetSpec is the desired state of an EnvoyFleet.
//
// +kubebuilder:validation:XValidation:message="addresses must not be set with provisioning: the addresses are those of the Service",rule="!(has(self.addresses) && has(self.provisioning))"
// +kubebuilder:validation:XValidation:message="nodes must not be set with provisioning: the provisioned Envoys are the nodes",rule="!(has(self.nodes) && has(self.provisioning))"
// +kubebuilder:validation:XValidation:message="bindAddress must not be set with provisioning: each of the provisioned Envoys has the addresses of its Pod",rule="!(has(self.bindAddress) && has(self.provisioning))"
// +kubebuilder:validation:XValidation:message="mergeGateways must not be set with provisioning: each Gateway gets Envoys of its own",rule="!(has(self.mergeGateways) && self.mergeGateways && has(self.provisioning))"
type EnvoyFleetSpec struct {
	// Nodes selects the Envoy nodes that belong to the fleet: a node belongs to it if one of the selectors matches. They get
	// the configuration of its Gateway without naming it, if it has one Gateway or merges them; otherwise they have to name
	// the Gateway in their metadata. No other node gets the configuration of a Gateway of this fleet.
	//
	// Without any selector, the nodes of a Gateway are those that name it in their metadata.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Nodes []NodeSelector `json:"nodes,omitempty"`

	// Addresses are where the Gateways of the fleet can be reached.
	//
	// +optional
	Addresses *Addresses `json:"addresses,omitempty"`

	// BindAddress is the IP address that Envoy's listeners bind, in place of the addresses of their Gateway: for Envoys
	// that are reached by way of a load balancer or address translation. Without it, listeners bind the addresses of
	// their Gateway, or every address if it has none.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:message="must be an IP address",rule="isIP(self)"
	BindAddress *string `json:"bindAddress,omitempty"`

	// MergeGateways has all Gateways of the fleet served by the same Envoys. Their listeners are then one set, in which
	// those of the older Gateway come first, and win conflicts.
	//
	// +optional
	MergeGateways bool `json:"mergeGateways,omitempty"`

	// AccessLog has every request, or connection, logged. Without it, none is.
	//
	// +optional
	AccessLog *AccessLog `json:"accessLog,omitempty"`

	// Tracing has requests traced. Without it, none is.
	//
	// +optional
	Tracing *Tracing `json:"tracing,omitempty"`

	// Provisioning has Envoys run in the cluster for each Gateway of the fleet. Without it, Envoys are run by someone else.
	//
	// +optional
	Provisioning *Provisioning `json:"provisioning,omitempty"`
}

// NodeSelector matches Envoy nodes by what their bootstrap configuration says about them
// (envoy.config.core.v3.Node). All fields that are set have to match.
//
// +kubebuilder:validation:MinProperties=1
type NodeSelector struct {
	// ID is what the node's id is, or starts with if it ends with "*".
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ID *string `json:"id,omitempty"`

	// Cluster is what the node's cluster is, or starts with if it ends with "*".
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Cluster *string `json:"cluster,omitempty"`

	// Metadata are entries that the node's metadata has, with values that are strings.
	//
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	Metadata map[string]string `json:"metadata,omitempty"`
}

// Addresses are where Gateways can be reached: a pool of which each gets one, or the same for all.
//
// +kubebuilder:validation:XValidation:message="exactly one of pool and shared must be set",rule="has(self.pool) != has(self.shared)"
type Addresses struct {
	// Pool are the addresses of which each Gateway gets one for itself: the one that its spec.addresses asks for, or the
	// first that is free. A merged fleet gets one. Each entry is an IP address, a prefix such as 192.0.2.0/28 with its
	// first and its last address, or a range such as 192.0.2.10-192.0.2.20.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Pool []AddressRange `json:"pool,omitempty"`

	// Shared are IP addresses at which every Gateway of the fleet is reached, such as those of a load balancer in front of
	// it. They are shown in status; a Gateway that has spec.addresses must ask for some of them.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=45
	// +kubebuilder:validation:items:XValidation:message="must be an IP address",rule="isIP(self)"
	Shared []string `json:"shared,omitempty"`
}

// AddressRange is an IP address, a prefix, or a range with both its ends.
//
// +kubebuilder:validation:XValidation:message="must be an IP address, a prefix such as 192.0.2.0/28, or a range such as 192.0.2.10-192.0.2.20",rule="isIP(self) || isCIDR(self) || (self.split('-').size() == 2 && self.split('-').all(end, isIP(end)))"
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=91
type AddressRange string

// AccessLog is where each request that an HTTP listener has answered, and each connection of another one that has ended, is
// logged, and how.
//
// +kubebuilder:validation:XValidation:message="at most one of text and json must be set",rule="!(has(self.text) && has(self.json))"
type AccessLog struct {
	// Path is the file that is written to.
	//
	// +optional
	// +kubebuilder:default=/dev/stdout
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Path string `json:"path,omitempty"`

	// Text is the format of a line, in Envoy's format strings. A line break is added if there is none. Without text and
	// json, it is Envoy's default format.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Text *string `json:"text,omitempty"`

	// JSON has each line be an object with these members, whose values are in Envoy's format strings.
	//
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=64
	JSON map[string]string `json:"json,omitempty"`
}

// Tracing is where the spans of requests are sent.
type Tracing struct {
	// OpenTelemetry is the collector that spans are sent to.
	//
	// +required
	OpenTelemetry OpenTelemetry `json:"openTelemetry"`

	// SamplingPercent is how many of the requests of which the client hasn't decided that itself are traced.
	//
	// +optional
	// +kubebuilder:default=100
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	SamplingPercent *int32 `json:"samplingPercent,omitempty"`
}

// OpenTelemetry is a collector of the OpenTelemetry protocol (OTLP) over gRPC.
type OpenTelemetry struct {
	// Service is the Service of the collector, in the namespace of the EnvoyFleet.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Service string `json:"service"`

	// Port is the Service's port for OTLP over gRPC.
	//
	// +optional
	// +kubebuilder:default=4317
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// ServiceName is what the spans say the service is. Without it, that is the namespace and name of the Gateway.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ServiceName *string `json:"serviceName,omitempty"`
}

// Provisioning is how Envoys are run in the cluster for a Gateway: a Deployment, a Service, a ServiceAccount and a
// ConfigMap, which are owned by the Gateway and carry its infrastructure labels and annotations (GEP-1762).
type Provisioning struct {
	// Image is the container image of Envoy.
	//
	// +optional
	// +kubebuilder:default="docker.io/envoyproxy/envoy:distroless-v1.36.2"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Image string `json:"image,omitempty"`

	// Replicas is how many Envoys there are for each Gateway.
	//
	// +optional
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Replicas *int32 `json:"replicas,omitempty"`

	// ServiceType is the type of the Service by which the Envoys are reached. The addresses of the Gateway come from it:
	// those of the load balancer, or else the cluster IPs.
	//
	// +optional
	// +kubebuilder:default=LoadBalancer
	// +kubebuilder:validation:Enum=LoadBalancer;ClusterIP;NodePort
	ServiceType corev1.ServiceType `json:"serviceType,omitempty"`

	// Resources are those of the Envoy container.
	//
	// +optional
	// +kubebuilder:validation:XValidation:message="claims must not be set: the Pods of Envoy have no resource claims",rule="!has(self.claims)"
	Resources corev1.ResourceRequirements `json:"resources,omitempty,omitzero"`
}

// EnvoyFleetStatus is what is true of an EnvoyFleet.
type EnvoyFleetStatus struct {
	// Conditions are Accepted, which says whether the spec can be used, and why not.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Gateways is how many Gateways the fleet serves.
	//
	// +optional
	Gateways int32 `json:"gateways"`
}

// The types and reasons of an EnvoyFleet's conditions.
const (
	// ConditionAccepted says whether the spec can be used.
	ConditionAccepted = "Accepted"

	// ReasonAccepted is why Accepted is True.
	ReasonAccepted = "Accepted"
	// ReasonInvalid is why Accepted is False: a value cannot be used, or two contradict each other.
	ReasonInvalid = "Invalid"
	// ReasonRefNotFound is why Accepted is False: the Service of the collector of traces, or its port, doesn't exist.
	ReasonRefNotFound = "RefNotFound"
)
