// Package provision tests what Gateways get in a cluster. All tests share one cluster, whose server is installed with
// --provisioning. There are no nodes and there is no controller of load balancers: what these would say, the tests say.
package provision

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
	"github.com/gateway-apiserver/gateway-apiserver/test/script"
)

var (
	kube      *cluster.Cluster
	installed *cluster.Installation
)

func TestMain(m *testing.M) { os.Exit(cluster.Run(m, prepare)) }

func prepare(ctx context.Context, c *cluster.Cluster) (err error) {
	kube = c
	installed, err = c.Install(ctx, cluster.InstallOptions{
		Flags: []string{"--provisioning"},
		Serve: []string{"--xds-tls"}, // which an address that isn't one of loopback would have by itself
	})
	if err != nil {
		return err
	}
	return installed.Published(ctx)
}

// TestScripts runs the scripts in testdata, with the commands of package script. Each has a namespace of its own, $NS, which
// is kubectl's default.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds:                script.Commands(true),
	})
}

func setup(e *testscript.Env) error {
	namespace := regexp.MustCompile("^script-").ReplaceAllString(filepath.Base(e.WorkDir), "")
	e.Setenv("NS", namespace)
	e.Setenv("PATH", kube.Bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
	e.Setenv("HOME", e.WorkDir)
	kubeconfig := filepath.Join(e.WorkDir, "admin")
	e.Setenv("KUBECONFIG", kubeconfig)
	if _, err := kube.Kubectl(e.T().(testing.TB).Context(), "create", "namespace", namespace); err != nil {
		return err
	}
	config, err := clientcmd.LoadFromFile(kube.Kubeconfig)
	if err != nil {
		return err
	}
	config.Contexts[config.CurrentContext].Namespace = namespace
	return clientcmd.WriteToFile(*config, kubeconfig)
}
