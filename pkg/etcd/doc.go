// Package etcd runs a single-member etcd inside the process, for servers that have no etcd cluster to use.
//
// Its one invariant: what etcd acknowledged is on disk (fsync before the answer) and nobody but this process can reach
// it. Clients connect over a unix socket in a directory of mode 0700; no TCP port is opened.
package etcd
