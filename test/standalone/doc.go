// Package standalone runs standalone servers for tests, as processes with an etcd of their own, and builds the kubectl
// that drives them.
//
// Its one invariant: a server that was started is either returned, for the test to end, or ended already.
package standalone
