// Package node is a node of a cluster: what a scheduler, a kubelet with its container runtime and network plugin,
// kube-proxy and the cluster's DNS do, in the process of a test and a few that it starts. It runs the containers of Pods as
// local processes, each Pod in a network namespace with an address of its own, and each container in mount and process
// namespaces of its own; kubectl exec and kubectl logs work.
//
// There is no registry of images: an image is files of this machine, which the test names. A container's root is a tmpfs
// with these, its volumes, and the machine's programs and libraries, read-only, for programs that aren't static.
//
// Its one invariant: what a Pod asks for, it gets, or it stays Pending with a message that says what it doesn't get. The
// exceptions are known by all users of nodes like this one: no seccomp profile is applied, resource requests reserve
// nothing, images are always present, volumes stay as they were when the Pod started, and there are
// no variables for Services and no session affinity. Pods can't reach kube-apiserver.
//
// It changes the network and the mounts of the process that it is in, so that this has to be one of package netns, started
// by root. All of it ends with that process. A process has one node at a time.
package node
