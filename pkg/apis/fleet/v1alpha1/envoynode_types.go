package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// EnvoyNode is an Envoy, or another xDS client, that is connected to the server. There is one for each node id and each
// configuration that a node of that id gets, as long as it is connected. Field selectors can name status.nodeID, status.scope,
// status.gateway and status.fleet.
//
// The server writes it, and nobody else can. In a large fleet it may be some seconds old, or longer while much changes: what
// the whole fleet of a Gateway has is said at once by the Gateway's condition gateway-apiserver.dev/Delivered.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=enode
// +kubebuilder:printcolumn:name="Node",type=string,priority=1,JSONPath=`.status.nodeID`
// +kubebuilder:printcolumn:name="Scope",type=string,JSONPath=`.status.scope`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.version`
// +kubebuilder:printcolumn:name="Current",type=boolean,JSONPath=`.status.current`
// +kubebuilder:printcolumn:name="Rejections",type=integer,JSONPath=`.status.rejections`
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.connectedSince`
// +kubebuilder:printcolumn:name="Identity",type=string,priority=1,JSONPath=`.status.identity`
// +kubebuilder:printcolumn:name="Protocol",type=string,priority=1,JSONPath=`.status.protocol`
// +kubebuilder:printcolumn:name="Replica",type=string,priority=1,JSONPath=`.status.replica`
type EnvoyNode struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Status is what the server knows of the node.
	// +optional
	Status EnvoyNodeStatus `json:"status,omitempty,omitzero"`
}

// EnvoyNodeList is a list of EnvoyNodes.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
type EnvoyNodeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []EnvoyNode `json:"items"`
}

// EnvoyNodeStatus is what the server knows of a node.
type EnvoyNodeStatus struct {
	// NodeID is the node's id, as its bootstrap configuration says it (node.id). What cannot be printed of it is escaped, and
	// the rest of a long one is left out.
	//
	// +optional
	NodeID string `json:"nodeID,omitempty"`

	// Cluster is the node's cluster, as its bootstrap configuration says it (node.cluster).
	//
	// +optional
	Cluster string `json:"cluster,omitempty"`

	// Identity is who the node has proven to be, by a certificate or a token. It is empty where nodes are not asked.
	//
	// +optional
	Identity string `json:"identity,omitempty"`

	// Scope is whose configuration the node gets: gateway/NAMESPACE/NAME for a Gateway, fleet/NAMESPACE/NAME for an EnvoyFleet
	// that merges its Gateways, sidecar/NAMESPACE for a sidecar of the mesh, mesh/NAMESPACE or mesh for proxyless clients.
	//
	// +optional
	Scope string `json:"scope,omitempty"`

	// Gateway is the Gateway that the node serves, as NAMESPACE/NAME, if it serves one that isn't merged with others.
	//
	// +optional
	Gateway string `json:"gateway,omitempty"`

	// Fleet is the EnvoyFleet whose merged Gateways the node serves, as NAMESPACE/NAME.
	//
	// +optional
	Fleet string `json:"fleet,omitempty"`

	// Version is the version of the node, as it says it: of Envoy, such as 1.36.2, or of another client with its name.
	//
	// +optional
	Version string `json:"version,omitempty"`

	// Protocol is the variant of xDS that the node speaks: delta, or sotw for the state of the world.
	//
	// +optional
	Protocol string `json:"protocol,omitempty"`

	// Replica is the replica of the server to which the node is connected.
	//
	// +optional
	Replica string `json:"replica,omitempty"`

	// ConnectedSince is when the node connected.
	//
	// +optional
	ConnectedSince metav1.MicroTime `json:"connectedSince,omitempty,omitzero"`

	// Current says that the node has acknowledged all that it should have, and rejected none of it.
	//
	// +optional
	Current bool `json:"current"`

	// Acknowledged is what the node has acknowledged last, by type of resource.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Acknowledged []AcknowledgedResources `json:"acknowledged,omitempty"`

	// Rejections is how many resources the node has rejected, as they are now.
	//
	// +optional
	Rejections int32 `json:"rejections"`

	// Rejected are the first of these.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Rejected []RejectedResource `json:"rejected,omitempty"`
}

// AcknowledgedResources are the resources of one type that a node has.
type AcknowledgedResources struct {
	// Type is the type of the resources, such as listeners.
	//
	// +required
	Type string `json:"type"`

	// Version is that of what the node has acknowledged. Nodes with the same resources have the same version.
	//
	// +required
	Version string `json:"version"`
}

// RejectedResource is a resource that a node has rejected.
type RejectedResource struct {
	// Type is the type of the resource, such as listeners.
	//
	// +required
	Type string `json:"type"`

	// Name is the resource's.
	//
	// +required
	Name string `json:"name"`

	// Version is that of the resource.
	//
	// +required
	Version string `json:"version"`

	// Message is why the node has rejected it, in its own words. The rest of a long one is left out.
	//
	// +optional
	Message string `json:"message,omitempty"`
}
