// Package snapshot saves an etcd to a file, checks such files, and restores the objects in them: into the directory of an
// embedded member, or into an etcd that is running.
//
// The files are those of etcd itself: what "etcdctl snapshot save" writes is read here, and what is written here is read by
// "etcdutl snapshot". What is restored are the keys below a prefix and nothing else: no other keys of an etcd that was
// shared, no users, no alarms, no members.
//
// Its one invariant: nothing is restored from a file that was not found whole, and a restore that was stopped in the
// middle can be told from one that is complete. A directory is complete if it is there; an etcd that is running has a
// marker, beside the prefix, until it is.
package snapshot
