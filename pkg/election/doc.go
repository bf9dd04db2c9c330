// Package election elects one of the replicas of a server through the etcd that they share.
//
// Its one invariant: whoever doesn't hold the lease in etcd any more is told so before, or as soon as, it notices. Two
// replicas may both believe for a moment that they lead: what a leader does must bear that.
package election
