// +k8s:conversion-gen=sigs.k8s.io/gateway-api/apis/v1
// +k8s:conversion-gen-external-types=sigs.k8s.io/gateway-api/apis/v1alpha2

// Package upstream converts between the hub and those kinds of gateway.networking.k8s.io/v1alpha2 whose types upstream
// still has. It is apart from the kinds that upstream dropped because conversion-gen reads one package of types.
//
// The one invariant: converted objects share the memory of spec and status with what they were converted from.
package upstream
