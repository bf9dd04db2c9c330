package graph_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph/graphtest"
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
			testHistory(t, graphtest.Random(uint64(seed), 1200))
		})
	}
}

// FuzzHistory lets the fuzzer write the histories. The order of Go's maps makes the coverage of a history differ from run
// to run, so that minimising it comes to no end: fuzz with -fuzzminimizetime=1x.
func FuzzHistory(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(graphtest.Random(seed, 300))
	}
	f.Fuzz(testHistory)
}

// testHistory applies a history of changes one by one. After each change, everything whose facts changed must be dirty,
// and a preview must have told the facts before. At the end, a graph built from the objects that are left, in another
// order, must have the same facts; and once these are deleted too, nothing may be left.
//
// A second graph has Secrets and ConfigMaps only while they are needed. It must tell the same as the one that has all.
func testHistory(t *testing.T, data []byte) {
	history := graphtest.New(data)
	g, lean := newGraph(), leanGraph{newGraph(), history.Objects}
	before := observe(g)
	step := 0
	for change := range history.Changes() {
		step++
		what := fmt.Sprintf("step %d, %s", step, change)
		foreseen := preview(g, change.Object)
		if diff := cmp.Diff(foreseen, lean.preview(change.Object)); diff != "" {
			t.Fatalf("%s: previews with all (-) and with the needed (+) Secrets and ConfigMaps differ:\n%s", what, diff)
		}
		d := change.Do(g)
		lean.do(change)
		if diff := cmp.Diff(foreseen, current(g, change.Key)); foreseen != nil && diff != "" {
			t.Fatalf("%s: preview (-) and facts (+) differ:\n%s", what, diff)
		}
		if want := touched(change.Key); change.Action == graphtest.Touch && !reflect.DeepEqual(d, want) {
			t.Fatalf("%s: nothing but metadata changed, and dirty is %+v, want %+v", what, d, want)
		}
		after := observe(g)
		checkDirty(t, what+": Statuses", before.statuses, after.statuses, d.Statuses)
		checkDirty(t, what+": Scopes", before.scopes, after.scopes, d.Scopes)
		checkDirty(t, what+": VirtualHosts", before.virtualHosts, after.virtualHosts, d.VirtualHosts)
		checkDirty(t, what+": MeshHosts", before.meshHosts, after.meshHosts, d.MeshHosts)
		if before.sidecar != after.sidecar && !d.Sidecars {
			t.Fatalf("%s: Sidecars are not dirty, and are %+v", what, after.sidecar)
		}
		checkDirty(t, what+": Backends", before.backends, after.backends, d.Backends)
		checkDirty(t, what+": References", before.needed, after.needed, d.References)
		checkDirty(t, what+": Infrastructure", before.infrastructure, after.infrastructure, d.Infrastructure)
		checkDirty(t, what+": Fleets", before.fleets, after.fleets, d.Fleets)
		before = after
	}

	// The order is that of Go's maps: another one each time.
	fresh := newGraph()
	for _, obj := range history.Objects {
		fresh.Apply(obj)
	}
	if diff := cmp.Diff(everything(fresh), everything(g)); diff != "" {
		t.Errorf("built at once (-) and by its history (+), the graph differs:\n%s", diff)
	}

	if diff := cmp.Diff(everything(g), everything(lean.Graph)); diff != "" {
		t.Errorf("with all (-) and with the needed (+) Secrets and ConfigMaps, the graph differs:\n%s", diff)
	}
	for _, key := range append(graphtest.KeysOf(graph.KindSecret), graphtest.KeysOf(graph.KindConfigMap)...) {
		if lean.Object(key) != nil && !lean.Needed(key) {
			t.Errorf("%s is not needed, and nobody was told", key)
		}
	}

	for key, obj := range history.Objects {
		if got := g.Object(key); got != obj {
			t.Errorf("Object(%s) is not what was applied last", key)
		}
		g.Delete(key)
	}
	v := reflect.ValueOf(g).Elem()
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.Bool {
			continue // an option
		}
		if n := v.Field(i).Len(); n > 0 {
			t.Errorf("with all objects deleted, %d entries are left in %s", n, v.Type().Field(i).Name)
		}
	}
}

// newGraph returns an empty graph with everything that there can be.
func newGraph() *graph.Graph {
	g := graph.New()
	g.EnableProvisioning()
	return g
}

// leanGraph is a graph with no other Secrets and ConfigMaps than those that are needed of objects.
type leanGraph struct {
	*graph.Graph
	objects map[graph.Key]metav1.Object
}

func isReferenced(kind graph.Kind) bool {
	return kind == graph.KindSecret || kind == graph.KindConfigMap
}

// do makes a change, and reads or lets go of what that says is needed now, or isn't any more.
func (g leanGraph) do(change graphtest.Change) {
	if isReferenced(change.Key.Kind) {
		g.follow(change.Key)
		return
	}
	for key := range change.Do(g.Graph).References {
		g.follow(key)
	}
}

func (g leanGraph) follow(key graph.Key) {
	if obj := g.objects[key]; obj != nil && g.Needed(key) {
		g.Apply(obj)
	} else {
		g.Delete(key)
	}
}

// preview is that of an object for which what it needs is read.
func (g leanGraph) preview(obj metav1.Object) any {
	if obj == nil {
		return preview(g.Graph, nil)
	}
	for _, key := range g.NeededBy(obj) {
		if needed := g.objects[key]; needed != nil {
			g.Apply(needed)
		}
	}
	foreseen := preview(g.Graph, obj)
	for _, key := range g.NeededBy(obj) {
		g.follow(key)
	}
	return foreseen
}

// touched is what a write becomes that changes no facts: the status of the object itself is looked at again.
func touched(k graph.Key) graph.Dirty {
	switch k.Kind {
	case graph.KindGatewayClass, graph.KindGateway, graph.KindListenerSet, graph.KindEnvoyFleet,
		graph.KindHTTPRoute, graph.KindGRPCRoute, graph.KindTLSRoute, graph.KindTCPRoute, graph.KindUDPRoute,
		graph.KindBackendTLSPolicy, graph.KindBackendTrafficPolicy, graph.KindBackend, graph.KindMesh:
		return graph.Dirty{Statuses: map[graph.Key]struct{}{k: {}}}
	}
	return graph.Dirty{}
}

func preview(g *graph.Graph, obj metav1.Object) any {
	switch o := obj.(type) {
	case *gwv1.GatewayClass:
		return g.PreviewGatewayClass(o)
	case *gwv1.Gateway:
		return g.PreviewGateway(o)
	case *gwv1.ListenerSet:
		return g.PreviewListenerSet(o)
	case *gwv1.HTTPRoute, *gwv1.GRPCRoute, *gwv1.TLSRoute, *gwv1.TCPRoute, *gwv1.UDPRoute:
		return g.PreviewRoute(obj)
	case *fleetv1alpha1.EnvoyFleet:
		return g.PreviewEnvoyFleet(o)
	case *gwv1.BackendTLSPolicy:
		return g.PreviewBackendTLSPolicy(o)
	case *gwxv1alpha1.XBackendTrafficPolicy:
		return g.PreviewBackendTrafficPolicy(o)
	case *gwxv1alpha1.XBackend:
		return g.PreviewXBackend(o)
	case *gwxv1alpha1.XMesh:
		return g.PreviewXMesh(o)
	}
	return nil
}

func current(g *graph.Graph, k graph.Key) any {
	switch k.Kind {
	case graph.KindGatewayClass:
		return g.GatewayClass(k.Name)
	case graph.KindGateway:
		return g.Gateway(k.NamespacedName())
	case graph.KindListenerSet:
		return g.ListenerSet(k.NamespacedName())
	case graph.KindEnvoyFleet:
		return g.EnvoyFleet(k.NamespacedName())
	case graph.KindHTTPRoute, graph.KindGRPCRoute, graph.KindTLSRoute, graph.KindTCPRoute, graph.KindUDPRoute:
		return g.Route(k)
	case graph.KindBackendTLSPolicy:
		return g.BackendTLSPolicy(k.NamespacedName())
	case graph.KindBackendTrafficPolicy:
		return g.BackendTrafficPolicy(k.NamespacedName())
	case graph.KindBackend:
		return g.XBackend(k.NamespacedName())
	case graph.KindMesh:
		return g.XMesh(k.Name)
	}
	return nil
}

// everything is all that the graph tells, by key.
func everything(g *graph.Graph) map[string]any {
	all := map[string]any{"Gateways": g.Gateways(), "MeshHosts": g.MeshHosts(), "Sidecar": g.Sidecar()}
	for _, k := range graphtest.Keys() {
		if facts := current(g, k); !isNil(facts) {
			all[k.String()] = facts
		}
		if isReferenced(k.Kind) {
			all["Needed "+k.String()] = g.Needed(k)
		}
		if k.Kind == graph.KindEnvoyFleet {
			all["FleetNodes "+k.String()] = g.FleetNodes(k.NamespacedName())
		}
	}
	for _, scope := range scopesOf(g) {
		all["Scope "+scope.String()] = g.Scope(scope)
		hosts := g.VirtualHosts(scope)
		all["VirtualHosts "+scope.String()] = hosts
		for _, host := range hosts {
			all[fmt.Sprintf("VirtualHost %v", host)] = g.VirtualHost(host)
		}
	}
	for _, b := range graphtest.Backends() {
		all["BackendPort "+b.String()] = g.BackendPort(b)
	}
	for _, host := range g.MeshHosts() {
		all["MeshHost "+host.String()] = g.MeshHost(host)
	}
	return all
}

func isNil(v any) bool { return v == nil || reflect.ValueOf(v).IsNil() }

// An observation is what readers see, without the metadata and status that mean nothing to them.
type observation struct {
	statuses     map[graph.Key]any
	scopes       map[graph.Key]any
	virtualHosts map[graph.VirtualHostKey]any
	meshHosts    map[graph.MeshHostKey]any
	sidecar      graph.SidecarFacts
	backends     map[graph.BackendKey]any
	needed       map[graph.Key]any
	// infrastructure is what each Gateway is to have in the cluster, and whether that is known.
	infrastructure map[types.NamespacedName]any
	// fleets is which nodes are those of each EnvoyFleet.
	fleets map[types.NamespacedName]any
}

func observe(g *graph.Graph) observation {
	o := observation{
		map[graph.Key]any{}, map[graph.Key]any{}, map[graph.VirtualHostKey]any{}, map[graph.MeshHostKey]any{}, g.Sidecar(), map[graph.BackendKey]any{},
		map[graph.Key]any{}, map[types.NamespacedName]any{}, map[types.NamespacedName]any{},
	}
	for _, k := range graphtest.Keys() {
		switch k.Kind {
		case graph.KindSecret, graph.KindConfigMap:
			o.needed[k] = g.Needed(k)
		case graph.KindGatewayClass:
			if f := g.GatewayClass(k.Name); f != nil {
				o.statuses[k] = []any{f.Managed, f.Unaccepted}
			}
		case graph.KindGateway:
			if f := g.Gateway(k.NamespacedName()); f != nil {
				o.statuses[k] = gatewaySeen(f)
				wanted, known := g.Infrastructure(k.NamespacedName())
				o.infrastructure[k.NamespacedName()] = []any{wanted, known}
			} else {
				o.infrastructure[k.NamespacedName()] = []any{(*graph.Infrastructure)(nil), true}
			}
		case graph.KindListenerSet:
			if f := g.ListenerSet(k.NamespacedName()); f != nil {
				o.statuses[k] = listenerSetSeen(f)
			}
		case graph.KindEnvoyFleet:
			if f := g.EnvoyFleet(k.NamespacedName()); f != nil {
				o.statuses[k] = []any{f.Unaccepted, f.Gateways}
				o.fleets[k.NamespacedName()] = g.FleetNodes(k.NamespacedName())
			}
		case graph.KindHTTPRoute, graph.KindGRPCRoute, graph.KindTLSRoute, graph.KindTCPRoute, graph.KindUDPRoute:
			if f := g.Route(k); f != nil {
				o.statuses[k] = []any{f.Parents, f.Rules, f.Unresolved, f.PartiallyInvalid, f.Warnings}
			}
		case graph.KindBackendTLSPolicy:
			if f := g.BackendTLSPolicy(k.NamespacedName()); f != nil {
				o.statuses[k] = []any{f.Unresolved, f.Ancestors, f.Warnings}
			}
		case graph.KindBackendTrafficPolicy:
			if f := g.BackendTrafficPolicy(k.NamespacedName()); f != nil {
				o.statuses[k] = []any{f.Targets, f.Ancestors, f.Warnings}
			}
		case graph.KindBackend:
			if f := g.XBackend(k.NamespacedName()); f != nil {
				o.statuses[k] = []any{f.Ancestors, f.Unaccepted, f.Unresolved, f.Warnings}
			}
		case graph.KindMesh:
			if f := g.XMesh(k.Name); f != nil {
				o.statuses[k] = []any{f.Managed, f.Unaccepted, f.Overruled, f.Warnings}
			}
		}
	}
	for _, scope := range scopesOf(g) {
		f := g.Scope(scope)
		var seen []any
		for _, gw := range f.Gateways {
			seen = append(seen, gatewaySeen(gw), gw.Object.Spec)
		}
		for _, stream := range f.Streams {
			seen = append(seen, stream.Key, routesSeen(stream.Routes))
		}
		o.scopes[scope] = seen
		for _, k := range g.VirtualHosts(scope) {
			host := g.VirtualHost(k)
			o.virtualHosts[k] = []any{host.Misdirected, routesSeen(host.Routes), clientCertificateSeen(host)}
		}
	}
	for _, k := range g.MeshHosts() {
		f := g.MeshHost(k)
		o.meshHosts[k] = []any{f.TLS, f.Mesh, f.Addresses, routesSeen(f.Routes)}
	}
	for _, k := range graphtest.Backends() {
		if f := g.BackendPort(k); f != nil {
			o.backends[k] = backendSeen(f)
		}
	}
	for _, route := range graphtest.KeysOf(graph.KindUDPRoute) {
		k := graph.UDPRouteBackend(route)
		if f := g.BackendPort(k); f != nil {
			o.backends[k] = backendSeen(f)
		}
	}
	return o
}

func backendSeen(f *graph.BackendPortFacts) []any {
	seen := []any{f.Port, f.HTTP2, f.TLS, f.RetryBudget, f.Hostname, f.Protocol}
	for _, s := range f.Slices {
		seen = append(seen, s.Name, s.AddressType, s.Endpoints, s.Ports)
	}
	for _, s := range f.Shares {
		seen = append(seen, s.Weight)
		if s.Port != nil {
			seen = append(seen, backendSeen(s.Port))
		}
	}
	return seen
}

// scopesOf returns the scopes that there are.
func scopesOf(g *graph.Graph) []graph.Key {
	var scopes []graph.Key
	for _, n := range g.Gateways() {
		if scope := g.Gateway(n).Scope; !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

func listenerSetSeen(f *graph.ListenerSetFacts) any {
	c := *f
	c.Object = nil
	return c
}

func gatewaySeen(f *graph.GatewayFacts) any {
	c := *f
	c.Object = nil
	return c
}

// clientCertificateSeen is empty where there is nothing to show it to.
func clientCertificateSeen(host *graph.VirtualHostFacts) types.NamespacedName {
	if len(host.Routes) == 0 {
		return types.NamespacedName{}
	}
	return host.ClientCertificate
}

func routesSeen(routes []*graph.RouteFacts) any {
	var seen []any
	for _, r := range routes {
		seen = append(seen, r.Key, r.Rules)
		if r.HTTP != nil {
			seen = append(seen, r.HTTP.Spec)
		} else if r.GRPC != nil {
			seen = append(seen, r.GRPC.Spec) // of others, all that matters is in the rules
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
