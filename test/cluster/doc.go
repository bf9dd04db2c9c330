// Package cluster runs a real Kubernetes control plane on loopback for tests, with replicas of gateway-apiserver in it:
// etcd, kube-apiserver and kube-controller-manager as processes, built from their Go modules.
//
// What a node does for these, the harness does, without privileges. It starts the containers of our Deployment as local
// processes, with the token of their ServiceAccount and nothing else, so that they have the permissions that they have in a
// cluster. It asks them whether they are ready, and stands for kube-proxy with a TCP balancer, which our Service points at
// by ExternalName. Package node gives a cluster a node that runs any Pods.
//
// Its one invariant: whatever it started has ended when its test ends, also when that is killed.
package cluster
