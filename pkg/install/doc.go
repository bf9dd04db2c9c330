// Package install renders all that the server takes in a cluster, applies it and removes it again: as a client of
// kube-apiserver, by server-side apply. What is printed, what is applied and what artifacts/cluster holds are the same
// objects.
//
// Registering is apart from the rest: an APIService that points at our Service takes its group version away from the
// CustomResourceDefinitions, whose objects nobody sees as long as it is there. So this happens last, is refused while
// there are such objects, and can be left to those who move the objects first ([Register], [Unregister]).
//
// The one invariant: nothing is changed or deleted that install has not made itself, which its label says
// (app.kubernetes.io/managed-by=gateway-apiserver-install). The APIServices that kube-apiserver keeps for
// CustomResourceDefinitions are the exception; they come back when ours are deleted.
package install
