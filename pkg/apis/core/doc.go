// Package core knows the built-in Kubernetes kinds that a Gateway needs where there is no cluster around it: Namespace,
// Service, Secret, ConfigMap and Event of core/v1, EndpointSlice of discovery.k8s.io/v1. It defaults and validates them
// as kube-apiserver does for the fields that decide where traffic goes, and says so where it is more lenient.
//
// The types are upstream's. kube-apiserver's own validation lives in k8s.io/kubernetes, which is not meant to be
// imported, so the rules are restated here; error types, paths and wording follow it.
//
// The one invariant: validation never writes to its arguments, and what a defaulting function produces from a valid
// object is valid.
package core
