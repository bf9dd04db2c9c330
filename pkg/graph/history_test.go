package graph

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// TestHistory holds the invariant of the package over random histories.
func TestHistory(t *testing.T) {
	t.Parallel()
	seeds := 150
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(uint64(seed), 0))
			data := make([]byte, 1200)
			for i := range data {
				data[i] = byte(random.Uint32())
			}
			testHistory(t, data)
		})
	}
}

// FuzzHistory lets the fuzzer write the histories. The order of Go's maps makes the coverage of a history differ from run
// to run, so that minimising it comes to no end: fuzz with -fuzzminimizetime=1x.
func FuzzHistory(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 4 {
		data := make([]byte, 300)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(testHistory)
}

// testHistory applies a history of changes one by one. After each change, everything whose facts changed must be dirty,
// and a preview must have told the facts before. At the end, a graph built from the objects that are left, in another
// order, must have the same facts; and once these are deleted too, nothing may be left.
func testHistory(t *testing.T, data []byte) {
	c := &choices{data: data}
	g := New()
	objects := map[Key]metav1.Object{}
	before := observe(g)
	for step := 1; len(c.data) > 0; step++ {
		k := randomKey(c)
		old := objects[k]
		var d Dirty
		var what string
		switch action := c.n(8); {
		case action == 0:
			what = "delete " + k.String()
			delete(objects, k)
			d = g.Delete(k)
		case action == 1 && old != nil:
			what = "touch " + k.String()
			objects[k] = touch(old)
			d = g.Apply(objects[k])
			if want := touched(k); !reflect.DeepEqual(d, want) {
				t.Fatalf("step %d, %s: nothing but metadata changed, and dirty is %+v, want %+v", step, what, d, want)
			}
		default:
			what = "apply " + k.String()
			objects[k] = randomObject(c, k)
			if action < 4 && old != nil {
				what = "modify " + k.String()
				objects[k] = modify(c, old, objects[k])
			}
			foreseen := preview(g, objects[k])
			d = g.Apply(objects[k])
			if diff := cmp.Diff(foreseen, current(g, k)); foreseen != nil && diff != "" {
				t.Fatalf("step %d, %s: preview (-) and facts (+) differ:\n%s", step, what, diff)
			}
		}
		after := observe(g)
		checkDirty(t, fmt.Sprintf("step %d, %s: Statuses", step, what), before.statuses, after.statuses, d.Statuses)
		checkDirty(t, fmt.Sprintf("step %d, %s: Gateways", step, what), before.gateways, after.gateways, d.Gateways)
		checkDirty(t, fmt.Sprintf("step %d, %s: VirtualHosts", step, what), before.virtualHosts, after.virtualHosts, d.VirtualHosts)
		checkDirty(t, fmt.Sprintf("step %d, %s: MeshHosts", step, what), before.meshHosts, after.meshHosts, d.MeshHosts)
		checkDirty(t, fmt.Sprintf("step %d, %s: Backends", step, what), before.backends, after.backends, d.Backends)
		before = after
	}

	fresh := New()
	for _, k := range shuffledKeys(objects) {
		fresh.Apply(objects[k])
	}
	if diff := cmp.Diff(everything(fresh), everything(g)); diff != "" {
		t.Errorf("built at once (-) and by its history (+), the graph differs:\n%s", diff)
	}

	for _, k := range shuffledKeys(objects) {
		if got := g.Object(k); got != objects[k] {
			t.Errorf("Object(%s) is not what was applied last", k)
		}
		g.Delete(k)
	}
	v := reflect.ValueOf(g).Elem()
	for i := range v.NumField() {
		if n := v.Field(i).Len(); n > 0 {
			t.Errorf("with all objects deleted, %d entries are left in %s", n, v.Type().Field(i).Name)
		}
	}
}

// shuffledKeys returns keys in Go's random map order.
func shuffledKeys(objects map[Key]metav1.Object) []Key { return slices.Collect(maps.Keys(objects)) }

// touched is what a write becomes that changes no facts: the status of the object itself is looked at again.
func touched(k Key) Dirty {
	switch k.Kind {
	case KindGatewayClass, KindGateway, KindHTTPRoute, KindGRPCRoute:
		return Dirty{Statuses: map[Key]struct{}{k: {}}}
	}
	return Dirty{}
}

func preview(g *Graph, obj metav1.Object) any {
	switch o := obj.(type) {
	case *gwv1.GatewayClass:
		return g.PreviewGatewayClass(o)
	case *gwv1.Gateway:
		return g.PreviewGateway(o)
	case *gwv1.HTTPRoute:
		return g.PreviewHTTPRoute(o)
	case *gwv1.GRPCRoute:
		return g.PreviewGRPCRoute(o)
	}
	return nil
}

func current(g *Graph, k Key) any {
	switch k.Kind {
	case KindGatewayClass:
		return g.GatewayClass(k.Name)
	case KindGateway:
		return g.Gateway(k.NamespacedName())
	case KindHTTPRoute, KindGRPCRoute:
		return g.Route(k)
	}
	return nil
}

// everything is all that the graph tells, by key.
func everything(g *Graph) map[string]any {
	all := map[string]any{"Gateways": g.Gateways(), "MeshHosts": g.MeshHosts()}
	for _, k := range allKeys {
		if facts := current(g, k); !isNil(facts) {
			all[k.String()] = facts
		}
		if k.Kind == KindGateway {
			hosts := g.VirtualHosts(k.NamespacedName())
			all["VirtualHosts "+k.String()] = hosts
			for _, host := range hosts {
				all[fmt.Sprintf("VirtualHost %v", host)] = g.VirtualHost(host)
			}
		}
	}
	for _, b := range allBackends {
		all["MeshHost "+b.String()] = g.MeshHost(b)
		all["ServicePort "+b.String()] = g.ServicePort(b)
	}
	return all
}

func isNil(v any) bool { return v == nil || reflect.ValueOf(v).IsNil() }

// An observation is what readers see, without the metadata and status that mean nothing to them.
type observation struct {
	statuses     map[Key]any
	gateways     map[types.NamespacedName]any
	virtualHosts map[VirtualHostKey]any
	meshHosts    map[BackendKey]any
	backends     map[BackendKey]any
}

func observe(g *Graph) observation {
	o := observation{
		map[Key]any{}, map[types.NamespacedName]any{}, map[VirtualHostKey]any{}, map[BackendKey]any{}, map[BackendKey]any{},
	}
	for _, k := range allKeys {
		switch k.Kind {
		case KindGatewayClass:
			if f := g.GatewayClass(k.Name); f != nil {
				o.statuses[k] = []any{f.Managed, f.Unaccepted, f.Warnings}
			}
		case KindGateway:
			if f := g.Gateway(k.NamespacedName()); f != nil {
				o.statuses[k] = gatewaySeen(f)
			}
		case KindHTTPRoute, KindGRPCRoute:
			if f := g.Route(k); f != nil {
				o.statuses[k] = []any{f.Parents, f.Rules, f.Unresolved, f.PartiallyInvalid, f.Warnings}
			}
		}
	}
	for _, n := range g.Gateways() {
		f := *g.Gateway(n)
		f.AttachedRoutes = nil
		hosts := g.VirtualHosts(n)
		o.gateways[n] = []any{gatewaySeen(&f), f.Object.Spec, hosts}
		for _, k := range hosts {
			host := g.VirtualHost(k)
			o.virtualHosts[k] = []any{host.Misdirected, routesSeen(host.Routes)}
		}
	}
	for _, k := range g.MeshHosts() {
		o.meshHosts[k] = routesSeen(g.MeshHost(k).Routes)
		f := g.ServicePort(k)
		seen := []any{f.Service.Spec, f.Port}
		for _, s := range f.Slices {
			seen = append(seen, s.Name, s.AddressType, s.Endpoints, s.Ports)
		}
		o.backends[k] = seen
	}
	return o
}

func gatewaySeen(f *GatewayFacts) any {
	c := *f
	c.Object = nil
	return c
}

func routesSeen(routes []*RouteFacts) any {
	var seen []any
	for _, r := range routes {
		seen = append(seen, r.Key, r.Rules)
		if r.HTTP != nil {
			seen = append(seen, r.HTTP.Spec)
		} else {
			seen = append(seen, r.GRPC.Spec)
		}
	}
	return seen
}

// checkDirty wants every key of which something else is seen to be dirty.
func checkDirty[K comparable](t *testing.T, what string, before, after map[K]any, dirty map[K]struct{}) {
	t.Helper()
	check := func(k K) {
		if _, marked := dirty[k]; !marked && !reflect.DeepEqual(before[k], after[k]) {
			t.Fatalf("%s lacks %v, which changed:\n%s", what, k, cmp.Diff(before[k], after[k]))
		}
	}
	for k := range before {
		check(k)
	}
	for k := range after {
		check(k)
	}
}
