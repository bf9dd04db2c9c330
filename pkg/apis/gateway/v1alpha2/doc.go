// +k8s:conversion-gen=sigs.k8s.io/gateway-api/apis/v1
// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +groupName=gateway.networking.k8s.io

// Package v1alpha2 has the kinds that gateway.networking.k8s.io/v1alpha2 once served and whose types upstream has
// dropped since, and converts between all kinds of v1alpha2 and the hub.
//
// GatewayClass, Gateway and HTTPRoute are the types of v1 under other names, as upstream had them last, and converting
// them is a cast. BackendTLSPolicy and BackendLBPolicy have shapes of their own (those of releases v1.0 and v1.2).
// Descriptions are what `kubectl explain` prints.
//
// The one invariant: nothing is lost by converting an object back and forth. What only one of the versions can express
// is kept by package retained.
package v1alpha2
