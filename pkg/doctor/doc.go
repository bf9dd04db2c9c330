// Package doctor examines a server that is installed in a cluster, and says what is wrong and what to do: from outside,
// as a client of kube-apiserver and of each replica, with the permissions of who runs it.
//
// The one invariant: nothing is changed, and nothing is called healthy that was not looked at. What could not be looked
// at is a finding of its own. Replicas are sent credentials only after their certificate was verified by the caBundle
// that kube-apiserver verifies it by.
package doctor
