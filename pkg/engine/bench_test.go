package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// BenchmarkPublishHost publishes a change of one virtual host among many and among few, in turn. What it costs is to be that of the
// one, whatever there is besides it.
func BenchmarkPublishHost(b *testing.B) {
	const few, many = 100, 10_000
	tables := map[int]*benchTable{few: newBenchTable(few), many: newBenchTable(many)}
	took := map[int][]time.Duration{}
	for n := 0; b.Loop(); n++ {
		for hosts, table := range tables {
			took[hosts] = append(took[hosts], table.change(n))
		}
	}
	b.ReportMetric(0, "ns/op")
	median := map[int]float64{}
	for hosts, d := range took {
		slices.Sort(d)
		median[hosts] = float64(d[len(d)/2].Microseconds())
		b.ReportMetric(median[hosts], fmt.Sprintf("p50-µs-of-%d", hosts))
	}
	b.ReportMetric(median[many]/median[few], "ratio")
}

// benchTable is a Gateway with one route table.
type benchTable struct {
	graph     *graph.Graph
	publisher *publisher
	hosts     int
}

func newBenchTable(hosts int) *benchTable {
	t := &benchTable{graph.New(), newPublisher(cache.New(nodes.Bases()...)), hosts}
	d := t.graph.Apply(&gwv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "ours"}, Spec: gwv1.GatewayClassSpec{ControllerName: graph.ControllerName}})
	d.Merge(t.graph.Apply(httpGateway("gw")))
	for i := range hosts {
		d.Merge(t.graph.Apply(hostRoute(fmt.Sprintf("r-%d", i))))
	}
	t.publisher.publish(t.graph, d)
	return t
}

// change changes a route and returns how long that takes.
func (t *benchTable) change(n int) time.Duration {
	route := hostRoute(fmt.Sprintf("r-%d", n%t.hosts))
	route.Spec.Rules[0].Matches = []gwv1.HTTPRouteMatch{{Path: &gwv1.HTTPPathMatch{Value: new(fmt.Sprint("/", n))}}}
	start := time.Now()
	t.publisher.publish(t.graph, t.graph.Apply(route))
	return time.Since(start)
}
