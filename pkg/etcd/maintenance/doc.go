// Package maintenance watches over the space of an etcd, and shows it in metrics. Old revisions are compacted by
// k8s.io/apiserver, every five minutes; that frees pages in etcd's file, which only a defragmentation gives back. If the
// file grows to its quota, etcd raises an alarm and refuses all writes until somebody disarms it.
//
// Of an etcd that this process runs, both are done here. Of any other, its operator does them: here is only said when.
//
// Its one invariant: members of a cluster are defragmented one after another, and none while it leads, as a member answers
// nobody meanwhile. A cluster that is out of space is the exception: it takes no writes, and so no lock either.
package maintenance
