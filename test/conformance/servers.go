//go:build linux

package conformance

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	controllers "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwv1alpha2 "sigs.k8s.io/gateway-api/apis/v1alpha2"
	gwv1alpha3 "sigs.k8s.io/gateway-api/apis/v1alpha3"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
	"github.com/gateway-apiserver/gateway-apiserver/test/cluster/node"
)

// servers is what the suite runs against: one kube-apiserver, or what looks like one.
type servers struct {
	config  *rest.Config
	options client.Options
	// logs are those of the data planes that a test uses; nil if there are none.
	logs func(suite.ConformanceTest) ([]string, error)
}

// newScheme has all kinds that the suite has clients for.
func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	all := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme, apiextensionsv1.AddToScheme,
		gwv1.Install, gwv1alpha2.Install, gwv1alpha3.Install, gwxv1alpha1.Install, fleetv1alpha1.AddToScheme,
	} {
		if err := add(all); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// startInCluster installs gateway-apiserver in a cluster, where data planes are run for its Gateways.
func startInCluster(t *testing.T) servers {
	t.Helper()
	kube := startCluster(t)
	installed := install(t, kube)
	startNode(t, kube, node.Options{Spare: in(installed.Namespace)})
	xds, err := cluster.NewLink(replicasXDS(installed)...)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(kube, xds)
	m := newManager(t, kube.Admin)
	planes := startPlanes(t, inCluster, kube, m, xds.Addr())
	start(t, m)
	return servers{config: kube.Admin, options: client.Options{Scheme: newScheme(t)}, logs: planes.logsOf}
}

// startProvisioned installs gateway-apiserver in a cluster so that it runs Envoys itself. They are told that it is at a port of its
// Service, which leads nowhere here: its replicas run beside the node.
func startProvisioned(t *testing.T) servers {
	t.Helper()
	kube := startCluster(t)
	installDefinitions(t, kube)
	installed, err := kube.Install(t.Context(), cluster.InstallOptions{Flags: []string{"--provisioning"}, Serve: []string{"--xds-tls"}})
	if err != nil {
		t.Fatal(err)
	}
	service := fmt.Sprintf("gateway-apiserver-xds.%s.svc", installed.Namespace)
	startNode(t, kube, node.Options{Spare: in(installed.Namespace), Names: map[string]netip.Addr{service: node.Address}})
	xds, err := cluster.NewLinkAtPort(node.Address.String(), xdsPort, replicasXDS(installed)...)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(kube, xds)
	return servers{config: kube.Admin, options: client.Options{Scheme: newScheme(t)}, logs: func(test suite.ConformanceTest) ([]string, error) {
		return filepath.Glob(filepath.Join(kube.Dir, "logs", "pods", "*_envoy.*.log"))
	}}
}

// xdsPort is where Envoys in a cluster reach xDS.
const xdsPort = 18000

// startStandalone starts a standalone server with data planes for its Gateways, and a cluster for workloads.
func startStandalone(t *testing.T) servers {
	t.Helper()
	kube := startCluster(t)
	server, err := kube.StartStandalone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	startNode(t, kube, node.Options{})
	workloads, others := newManager(t, kube.Admin), newManager(t, server.Admin)
	if err := startCopies(others, workloads); err != nil {
		t.Fatal(err)
	}
	planes := startPlanes(t, standalone, kube, others, server.XDS)
	start(t, workloads, others)
	config, mapper, err := splitClients(server.Admin, kube.Admin)
	if err != nil {
		t.Fatal(err)
	}
	return servers{config: config, options: client.Options{Scheme: newScheme(t), Mapper: mapper}, logs: planes.logsOf}
}

// install installs upstream's CustomResourceDefinitions, and gateway-apiserver over them, with flags of its install command.
func install(t *testing.T, kube *cluster.Cluster, flags ...string) *cluster.Installation {
	t.Helper()
	installDefinitions(t, kube)
	installed, err := kube.Install(t.Context(), cluster.InstallOptions{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	return installed
}

// replicasXDS is where the replicas serve xDS.
func replicasXDS(installed *cluster.Installation) []string {
	var addresses []string
	for _, r := range installed.Replicas {
		addresses = append(addresses, r.XDS)
	}
	return addresses
}

func closeAtEnd(kube *cluster.Cluster, link *cluster.Link) {
	kube.AtEnd(func() error {
		link.Close()
		return nil
	})
}

// startPlanes runs data planes for the Gateways that m follows until the test has ended; m ends before.
func startPlanes(t *testing.T, w way, kube *cluster.Cluster, m manager.Manager, xds string) *operator {
	t.Helper()
	o := &operator{kube: kube, xds: xds, dir: t.TempDir(), logs: logsFolder(t, w, kube)}
	if err := startOperator(m, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.stop(); err != nil {
			t.Error(err)
		}
	})
	return o
}

// logsFolder makes the folder for the logs of data planes: a new one where -logs says, or else with the logs of the
// cluster.
func logsFolder(t *testing.T, w way, kube *cluster.Cluster) string {
	t.Helper()
	parent := cmp.Or(*logs, filepath.Join(kube.Dir, "logs"))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(parent, string(w)+"-")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// startCluster starts a cluster in which Deployments become Pods.
func startCluster(t *testing.T) *cluster.Cluster {
	t.Helper()
	return cluster.Start(t, "deployment-controller", "replicaset-controller")
}

// installDefinitions installs upstream's CustomResourceDefinitions, as upstream says how.
func installDefinitions(t *testing.T, kube *cluster.Cluster) {
	t.Helper()
	module, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatal(err)
	}
	definitions := filepath.Join(strings.TrimSpace(string(module)), "config", "crd", "experimental")
	if _, err := kube.Kubectl(t.Context(), "apply", "--server-side", "-k", definitions); err != nil {
		t.Fatal(err)
	}
}

// newManager returns what runs controllers that follow the objects of a server. They log only what goes wrong.
func newManager(t *testing.T, config *rest.Config) manager.Manager {
	t.Helper()
	m, err := manager.New(config, manager.Options{
		Scheme:     newScheme(t),
		Metrics:    server.Options{BindAddress: "0"},
		Controller: controllers.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// start runs managers until the test has ended, but for what it starts before.
func start(t *testing.T, managers ...manager.Manager) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	running, ctx := errgroup.WithContext(ctx)
	for _, m := range managers {
		running.Go(func() error { return m.Start(ctx) })
	}
	t.Cleanup(func() {
		cancel()
		if err := running.Wait(); err != nil {
			t.Error(err)
		}
	})
}
