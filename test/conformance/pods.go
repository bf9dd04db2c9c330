//go:build linux

package conformance

import (
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
	"github.com/gateway-apiserver/gateway-apiserver/test/cluster/node"
)

// sidecarImage is the data plane as an image.
const sidecarImage = "data-plane"

// startNode starts a node that has the images of the suite, and what else o says.
func startNode(t *testing.T, kube *cluster.Cluster, o node.Options) {
	t.Helper()
	program, _ := dataPlane(kube.Bin)
	echo := filepath.Join(kube.Bin, "echo-advanced-standin") // by its name, it is a server or a client
	o.Images = map[string]node.Image{
		"registry.k8s.io/gateway-api/echo-basic":    node.Program(filepath.Join(kube.Bin, "echo-basic")),
		"registry.k8s.io/gateway-api/echo-advanced": {Files: map[string]string{"/server": echo, "/client": echo}, Entrypoint: []string{"/server"}},
		"registry.k8s.io/coredns/coredns":           node.Program(filepath.Join(kube.Bin, "coredns")),
		sidecarImage:                                node.Program(program),
		"docker.io/envoyproxy/envoy":                node.Program(program),
	}
	if _, err := node.Start(t.Context(), kube, o); err != nil {
		t.Fatal(err)
	}
}

// in says whether a Pod is in a namespace.
func in(namespace string) func(*corev1.Pod) bool {
	return func(pod *corev1.Pod) bool { return pod.Namespace == namespace }
}
