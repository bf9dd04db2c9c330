// Package etcd runs etcd inside the process, for servers that have no etcd cluster to use: the only member of a cluster,
// or one of several.
//
// Its one invariant: what etcd acknowledged is on disk (fsync before the answer), on that of a majority of the members,
// and nobody but this process can reach it as a client. Clients connect over a unix socket in a directory of mode 0700.
// The only TCP port is that for the peers of a cluster of several, for mutual TLS.
//
// # How a member joins
//
// A member with a log just starts: the log says which member of which cluster it is. One with an empty directory may be
// new, or may have lost what it had promised to its peers to remember. It must not come back as the member that it was,
// whose votes and acknowledgements still count, and it must not make a second cluster. So it asks all its configured
// peers, on the port that etcd will use:
//
//   - If one of them is in touch with the cluster, that one removes the member that this one was, if there is such, and
//     adds a new one, with an ID that no member ever had. It starts as a learner, which doesn't count in a majority, and
//     asks to become a voter when it has all data.
//   - If all of them answer and all are empty, too, there is no cluster yet. The first of them by name makes it, with
//     itself as its only member; the others join that.
//   - Else it waits, and logs for whom: a peer that does not answer may be part of a cluster.
//
// A cluster whose majority has lost its data stays down: only a backup helps. Restored into any one member, as a cluster
// of one, it is joined by the others with empty directories; one that still has other data refuses to start beside it. A
// cluster of one grows in the same way, when it is started with peers.
package etcd
