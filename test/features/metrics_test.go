package features

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayclient "sigs.k8s.io/gateway-api/pkg/client/clientset/versioned"

	"github.com/gateway-apiserver/gateway-apiserver/test/standalone"
)

// maxSeries is how many series of metrics a server may have, however much it has to do.
const maxSeries = 1000

// TestMetricSeries holds that metrics have no labels for things of which there can be many, such as routes and nodes.
func TestMetricSeries(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, err := standalone.Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir, "data", "admin.kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	client := gatewayclient.NewForConfigOrDie(config)
	class := gatewayv1.ObjectName("gateway-apiserver")
	gateway := func(i int) *gatewayv1.Gateway {
		return &gatewayv1.Gateway{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("gateway-", i)}, Spec: gatewayv1.GatewaySpec{
			GatewayClassName: class, Listeners: []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}},
		}}
	}
	fill := func(from, to int) {
		var group errgroup.Group
		group.SetLimit(4)
		for i := from; i < to; i++ {
			group.Go(func() error {
				if _, err := client.GatewayV1().Gateways("default").Create(t.Context(), gateway(i), metav1.CreateOptions{}); err != nil {
					return err
				}
				route := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("route-", i)}}
				route.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: gatewayv1.ObjectName(fmt.Sprint("gateway-", i))}}
				_, err := client.GatewayV1().HTTPRoutes("default").Create(t.Context(), route, metav1.CreateOptions{})
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	fill(0, 40) // so that everything has happened once
	few := series(t, config)
	fill(40, 160)
	many := series(t, config)
	t.Logf("%d series with 40 routes, %d with 160", len(few), len(many))
	if len(many) > len(few)+20 || len(many) >= maxSeries {
		counts := map[string]int{}
		for line := range many {
			name, _, _ := strings.Cut(line, "{")
			counts[name]++
		}
		names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return counts[b] - counts[a] })
		for _, name := range names[:min(20, len(names))] {
			t.Logf("%5d %s", counts[name], name)
		}
		t.Errorf("these are more than %d, or grow with what there is", maxSeries)
	}
}

// series returns the series of metrics that a server has.
func series(t *testing.T, config *rest.Config) map[string]bool {
	t.Helper()
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	text, err := client.RESTClient().Get().AbsPath("/metrics").DoRaw(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte("#")) {
			found[string(line[:bytes.LastIndexByte(line, ' ')])] = true
		}
	}
	return found
}
