// Package garbage gives metadata.ownerReferences their effect, as kube-controller-manager does in a cluster: objects
// whose owners are all gone are deleted, and deletions in foreground and with orphans are finished. The rules are those of
// https://kubernetes.io/docs/concepts/architecture/garbage-collection/ and
// https://kubernetes.io/docs/concepts/overview/working-with-objects/owners-dependents/.
//
// An index of who refers to whom tells which objects to look at. It follows the stores and may be behind them. Hence the
// one invariant: what becomes of an object is decided by what the stores say at that moment, and written only if the
// object has not changed since.
package garbage
