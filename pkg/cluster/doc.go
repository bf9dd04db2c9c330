// Package cluster reads the core objects that a Gateway needs (Namespaces, Services, EndpointSlices, and the Secrets and
// ConfigMaps that something refers to) from the kube-apiserver of the cluster that the server is registered in.
//
// Its one invariant: of Secrets and ConfigMaps nothing is ever read but objects that were asked for by their names.
package cluster
