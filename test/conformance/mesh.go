//go:build linux

package conformance

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
	"github.com/gateway-apiserver/gateway-apiserver/test/cluster/node"
)

// injector does what an injector of sidecars does for the Pods of the suite's mesh: it gives them a data plane, or, where
// clients are their own, the bootstrap of gRPC.
type injector struct {
	kube  *cluster.Cluster
	way   way
	xds   *cluster.Link // where Pods reach xDS
	ready chan struct{} // closed when that is known
}

// startMesh installs gateway-apiserver in a cluster whose Pods are in the mesh in one of two ways.
func startMesh(t *testing.T, w way) servers {
	t.Helper()
	kube := startCluster(t)
	installed := install(t, kube)
	i := &injector{kube: kube, way: w, ready: make(chan struct{})}
	startNode(t, kube, node.Options{Spare: in(installed.Namespace), Inject: i.inject})
	// xDS listens on loopback, which each Pod has for itself. In the namespace of the test, nobody else is there to listen.
	var err error
	if i.xds, err = cluster.NewLinkAt(node.Address.String(), replicasXDS(installed)...); err != nil {
		t.Fatal(err)
	}
	closeAtEnd(kube, i.xds)
	close(i.ready)
	t.Cleanup(func() { i.checkSidecars(t) })
	return servers{config: kube.Admin, options: client.Options{Scheme: newScheme(t)}, logs: i.logsOf}
}

// logsOf are the logs of all Pods of the mesh, sidecars included: each test uses most of them.
func (i *injector) logsOf(suite.ConformanceTest) ([]string, error) {
	return filepath.Glob(filepath.Join(i.kube.Dir, "logs", "pods", suite.MeshNamespace+"*"))
}

// checkSidecars fails if a sidecar has ended, as it would be started again and the tests might pass.
func (i *injector) checkSidecars(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(i.kube.Dir, "logs", "pods", "*_sidecar.injected.*.log"))
	if err != nil {
		t.Error(err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file, ".0.log") {
			t.Errorf("%s is of a sidecar that was started again", filepath.Base(file))
		}
		if err := cluster.CheckLog(file); err != nil {
			t.Error(err)
		}
	}
}

func (i *injector) inject(ctx context.Context, pod *corev1.Pod) (*node.Injection, error) {
	if !slices.Contains([]string{suite.MeshNamespace, suite.MeshConsumerNamespace}, pod.Namespace) {
		return nil, nil
	}
	if i.way == proxyless {
		const file = "/etc/grpc/bootstrap.json"
		bootstrap, err := i.bootstrap(ctx, pod, "--proxyless="+pod.Namespace)
		return &node.Injection{
			Env:   []corev1.EnvVar{{Name: "GRPC_XDS_BOOTSTRAP", Value: file}},
			Files: map[string][]byte{file: bootstrap},
		}, err
	}
	const file = "/etc/envoy/envoy.yaml"
	bootstrap, err := i.bootstrap(ctx, pod, "--sidecar="+pod.Namespace)
	_, flags := dataPlane(i.kube.Bin)
	return &node.Injection{Sidecar: &node.Sidecar{
		Image: sidecarImage,
		Args:  append(flags, "-c", file),
		Files: map[string][]byte{file: bootstrap},
	}}, err
}

func (i *injector) bootstrap(ctx context.Context, pod *corev1.Pod, flags ...string) ([]byte, error) {
	<-i.ready
	return bootstrap(ctx, i.kube, append(flags, "--node-id="+pod.Name, "--xds-server="+i.xds.Addr())...)
}
