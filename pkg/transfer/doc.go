// Package transfer moves objects from one server to another by way of YAML: Export writes what a server has, Import
// gives it to another one. Both are clients of the API, by discovery, so that either server may also be a cluster with
// the CRDs of the Gateway API.
//
// What only the server that has an object can say of it is left out: resourceVersion, uid, generation, the time of its
// creation, and the status that gateway-apiserver itself renders, which the importing server renders anew. What others
// have said stays: labels, annotations, finalizers, managers of fields, the status of other controllers. References to
// owners are by name, because the owners have other uids after an import.
//
// The one invariant: exporting what Import made of an export gives the same bytes again.
package transfer
