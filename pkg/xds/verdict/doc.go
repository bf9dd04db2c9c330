// Package verdict keeps what xDS clients have rejected, and what they are served instead, where it survives a restart of
// everything and where all replicas of a server see it: in their etcd.
//
// A record names a version of a resource that a client refused, and holds the last version before it that clients took, with the
// clusters and endpoints that this one uses, which need not be published any more. Each replica parks that version in its cache, be
// it the one whose client refused it or not, and a server reads the records before it serves anything, so that nobody is sent again
// what is known to be bad.
//
// The one invariant: a record is about one version. So a replica that has come to publish another version can remove what it
// knows of the old one, and never what another replica has found out about a newer one; and the elected one, which removes what
// nobody publishes, asks the others first (removeIdle). What is wrong about a record (it is
// missing although a client of this replica rejects what is published, or it is there although nobody publishes that version)
// is mended by looking again, and never by trusting that every event arrives.
package verdict
