// Package bench measures what writes through a cluster cost: of a custom resource in kube-apiserver, and of the same object
// in gateway-apiserver, through kube-apiserver and from a replica directly.
package bench

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	gateway "sigs.k8s.io/gateway-api/pkg/client/clientset/versioned"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

const objects = `
apiVersion: v1
kind: Service
metadata: {name: store, namespace: default}
spec: {ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: default}
spec: {gatewayClassName: gateway-apiserver, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: store, namespace: default}
spec: {parentRefs: [{name: web}], hostnames: [a.example.com], rules: [{backendRefs: [{name: store, port: 80}]}]}
`

// BenchmarkPatch patches the hostname of a route: a custom resource first, of which nobody says what is true, then a route
// of two replicas, which answer with its status.
func BenchmarkPatch(b *testing.B) {
	c := cluster.Start(b)
	dir, err := exec.CommandContext(b.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		b.Fatal(err)
	}
	for _, args := range [][]string{
		{"apply", "--server-side", "-k", filepath.Join(strings.TrimSpace(string(dir)), "config", "crd", "experimental")},
		{"wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"},
	} {
		if _, err := c.Kubectl(b.Context(), args...); err != nil {
			b.Fatal(err)
		}
	}
	create := func() {
		b.Helper()
		if _, err := c.KubectlInput(b.Context(), objects, "apply", "--server-side", "-f", "-"); err != nil {
			b.Fatal(err)
		}
	}
	create()
	b.Run("custom-resource", func(b *testing.B) { patch(b, c.Admin) })

	if _, err := c.Kubectl(b.Context(), "delete", "httproutes,gateways", "--all"); err != nil {
		b.Fatal(err)
	}
	i, err := c.Install(b.Context(), cluster.InstallOptions{})
	if err != nil {
		b.Fatal(err)
	}
	create()
	b.Run("aggregated", func(b *testing.B) { patch(b, c.Admin) })
	direct, err := i.Replicas[0].Direct(b.Context(), c.Admin)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("direct", func(b *testing.B) { patch(b, direct) })
}

// patch changes the route again and again, and reports the median and the 99th percentile of how long it takes.
func patch(b *testing.B, config *rest.Config) {
	config = rest.CopyConfig(config)
	config.QPS = -1
	client, err := gateway.NewForConfig(config)
	if err != nil {
		b.Fatal(err)
	}
	routes := client.GatewayV1().HTTPRoutes("default")
	change := func(ctx context.Context, n int) time.Duration {
		start := time.Now()
		body := fmt.Sprintf(`{"spec":{"hostnames":["a%d.example.com"]}}`, n)
		if _, err := routes.Patch(ctx, "store", types.MergePatchType, []byte(body), metav1.PatchOptions{}); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	change(b.Context(), -1) // connects
	var took []time.Duration
	for n := 0; b.Loop(); n++ {
		took = append(took, change(b.Context(), n))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(0, "ns/op")
}
