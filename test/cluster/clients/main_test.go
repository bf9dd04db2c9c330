// Package clients tests what users of the Gateway API have as clients, with a server in a cluster: first alone, then beside
// the official CustomResourceDefinitions, then without its APIServices. All share one cluster, and take turns in that.
package clients

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

var (
	kube      *cluster.Cluster
	installed *cluster.Installation
)

func TestMain(m *testing.M) { os.Exit(cluster.Run(m, prepare)) }

func prepare(ctx context.Context, c *cluster.Cluster) (err error) {
	kube = c
	if _, err := cluster.Build(ctx, cluster.Clients); err != nil {
		return err
	}
	installed, err = c.Install(ctx, cluster.InstallOptions{})
	return err
}

func TestClients(t *testing.T) {
	t.Run("alone", func(t *testing.T) { testUsual(t, "alone", false) })
	alone := discover(t)
	applyDefinitions(t)
	t.Run("beside CRDs", func(t *testing.T) {
		t.Run("registration", testRegistration)
		t.Run("discovery", func(t *testing.T) { testDiscovery(t, alone) })
		t.Run("definitions", testDefinitions)
		testUsual(t, "beside", true)
	})
	t.Run("break glass", testBreakGlass)
}

// testUsual runs what has to work with and without the CustomResourceDefinitions.
func testUsual(t *testing.T, phase string, definitions bool) {
	t.Run("clients", func(t *testing.T) {
		t.Run("kubectl", func(t *testing.T) { testScripts(t, "kubectl", phase, definitions, "kubectl-read", "kubectl-write") })
		t.Run("kubectl 1.27", func(t *testing.T) {
			testScripts(t, "kubectl127", phase+"-127", definitions, "kubectl-read", "kubectl-write")
		})
		t.Run("gwctl", func(t *testing.T) { testScripts(t, "kubectl", phase, definitions, "gwctl") })
		t.Run("typed", func(t *testing.T) { testTyped(t, phase+"-typed") })
	})
}

// kubectl runs kubectl as the administrator.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := kube.Kubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// makeNamespace makes a namespace that lasts as long as the cluster.
func makeNamespace(ctx context.Context, name string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := kube.Clientset().CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	return err
}

// eventually waits until why returns nothing: that it holds, which it otherwise explains.
func eventually(t *testing.T, why func(context.Context) string) {
	t.Helper()
	var last string
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		last = why(ctx)
		return last == "", nil
	}); err != nil {
		t.Fatalf("%v: %s", err, last)
	}
}

// lines are those of a text that aren't empty.
func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}
