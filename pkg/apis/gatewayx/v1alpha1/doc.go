// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +groupName=gateway.networking.x-k8s.io

// Package v1alpha1 has the kind of gateway.networking.x-k8s.io/v1alpha1 whose types upstream has dropped, XListenerSet
// as of release v1.4, and converts between it and the hub: ListenerSet of gateway.networking.k8s.io/v1. The other kinds
// of the group are hubs themselves. Descriptions are what `kubectl explain` prints.
//
// The one invariant: nothing is lost by converting an object back and forth, but for the ports in status, which are
// those of spec.
package v1alpha1
