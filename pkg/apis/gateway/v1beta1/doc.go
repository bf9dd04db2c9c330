// +k8s:conversion-gen=sigs.k8s.io/gateway-api/apis/v1
// +k8s:conversion-gen-external-types=sigs.k8s.io/gateway-api/apis/v1beta1

// Package v1beta1 converts between gateway.networking.k8s.io/v1beta1 and the hub. Upstream defines its types as those of
// v1 under other names, so that a conversion is a cast.
//
// The one invariant: converted objects share the memory of spec and status with what they were converted from.
package v1beta1
