// Package progress knows at which revision of etcd each kind of object was last changed, by whichever replica. A replica asks
// before it judges a write, and waits for its watches to have come as far: then it judges by what all replicas have stored.
//
// Its one invariant: what Revisions returns is never older than what etcd had when it was called. So it can be asked about
// etcd as a whole, though a replica's watches tell nothing of how current they are, and though most of a shared etcd's
// revisions are changes to things that are nobody's business here.
package progress
