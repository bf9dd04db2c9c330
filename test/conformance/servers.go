package conformance

import (
	"context"
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

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

// servers is what the suite runs against: one kube-apiserver, or what looks like one.
type servers struct {
	config  *rest.Config
	options client.Options
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

// startInCluster installs gateway-apiserver in a cluster, with flags of the install command.
func startInCluster(t *testing.T, flags ...string) servers {
	t.Helper()
	kube := startCluster(t)
	installDefinitions(t, kube)
	installed, err := kube.Install(t.Context(), cluster.InstallOptions{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	m := newManager(t, kube.Admin)
	if err := startNode(t.Context(), m, installed.Namespace); err != nil {
		t.Fatal(err)
	}
	start(t, m)
	return servers{config: kube.Admin, options: client.Options{Scheme: newScheme(t)}}
}

// startStandalone starts a standalone server, and a cluster for workloads.
func startStandalone(t *testing.T) servers {
	t.Helper()
	kube := startCluster(t)
	standalone, err := kube.StartStandalone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	workloads, others := newManager(t, kube.Admin), newManager(t, standalone.Admin)
	if err := startNode(t.Context(), workloads, ""); err != nil {
		t.Fatal(err)
	}
	if err := startCopies(others, workloads); err != nil {
		t.Fatal(err)
	}
	start(t, workloads, others)
	config, mapper, err := splitClients(standalone.Admin, kube.Admin)
	if err != nil {
		t.Fatal(err)
	}
	return servers{config: config, options: client.Options{Scheme: newScheme(t), Mapper: mapper}}
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
		Scheme:     scheme.Scheme,
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
