package engine

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph/graphtest"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// statusKinds are the kinds that have a status of ours.
var statusKinds = []graph.Kind{graph.KindGatewayClass, graph.KindGateway, graph.KindListenerSet, graph.KindEnvoyFleet,
	graph.KindHTTPRoute, graph.KindGRPCRoute, graph.KindTLSRoute, graph.KindTCPRoute, graph.KindUDPRoute,
	graph.KindBackendTLSPolicy, graph.KindBackendTrafficPolicy, graph.KindBackend, graph.KindMesh,
}

// TestStatus holds over random histories that statuses are a function of the objects that there are and of what nodes reject, and
// that all of them are settled by writing those that a change is said to have made stale.
func TestStatus(t *testing.T) {
	t.Parallel()
	for seed := range histories() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			testStatus(t, graphtest.Random(uint64(seed), 2000))
		})
	}
}

// FuzzStatus lets the fuzzer write the histories; see FuzzHistory in package graph.
func FuzzStatus(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(graphtest.Random(seed, 500))
	}
	f.Fuzz(testStatus)
}

func testStatus(t *testing.T, data []byte) {
	history := graphtest.New(data)
	e := loadedEngine(t)
	var rejections []Rejection
	for change := range history.Changes() {
		settle(t, e, history, append(e.changed(change.Do(e.graph)), e.publish()...))
		if history.Choose(8) == 0 {
			rejections = rejectSomething(e, history, rejections)
			e.setRejections(slices.Clone(rejections))
			settle(t, e, history, slices.Collect(maps.Keys(e.left)))
			clear(e.left)
		}
		for _, kind := range statusKinds {
			for _, key := range graphtest.KeysOf(kind) {
				if due := e.staleStatus(key); due != nil {
					t.Fatalf("%s makes the status of %s stale, but not known to be: (-is +due)\n%s", change, key, cmp.Diff(e.graph.Object(key), due))
				}
			}
		}
	}

	fresh := loadedEngine(t)
	for _, obj := range history.Objects {
		fresh.changed(fresh.graph.Apply(obj))
	}
	fresh.setRejections(rejections)
	fresh.publish()
	ignored := cmpopts.IgnoreFields(metav1.Condition{}, "LastTransitionTime")
	for _, kind := range statusKinds {
		for _, key := range graphtest.KeysOf(kind) {
			if diff := cmp.Diff(rendered(fresh, key), rendered(e, key), ignored); diff != "" {
				t.Errorf("the status of %s, of the objects at once (-) and of their history (+):\n%s", key, diff)
			}
		}
	}
}

// rejectSomething adds the rejection of something that is published to those that there are, of which it forgets the oldest.
func rejectSomething(e *Engine, history *graphtest.History, rejections []Rejection) []Rejection {
	scopes := scopes()
	scope := scopes[history.Choose(len(scopes))]
	published := e.publisher.xds.Resources(scope)
	if len(published) == 0 {
		return rejections
	}
	r := published[history.Choose(len(published))]
	if e.publisher.xds.Resource(scope, cache.Name{TypeURL: r.TypeURL(), Name: r.Name()}) == nil {
		return rejections // it is seen there, and published in another scope
	}
	rejections = append(rejections, Rejection{Scope: scope, TypeURL: r.TypeURL(), Name: r.Name(), Version: r.Version(), Message: "no", Nodes: 1 + history.Choose(2)})
	return rejections[max(0, len(rejections)-4):]
}

// settle writes stale statuses. Status is read by nobody, so that writing one must not make another one stale.
func settle(t *testing.T, e *Engine, history *graphtest.History, stale []graph.Key) {
	t.Helper()
	seen := map[graph.Key]bool{}
	for _, key := range stale {
		if seen[key] {
			continue // by more than one way
		}
		seen[key] = true
		due := e.staleStatus(key)
		if due == nil {
			t.Fatalf("the status of %s is not stale", key)
		}
		written := due.(metav1.Object)
		history.Objects[key] = written
		if more := e.changed(e.graph.Apply(written)); more != nil {
			t.Fatalf("the status of %s makes others stale: %v", key, more)
		}
	}
}

// TestUnsettled: an attachedRoutes of 1 is being written when the route goes. The Gateway is stored with 0, which is right
// again, and yet somebody has to wait, and to write, until the 1 is gone.
func TestUnsettled(t *testing.T) {
	t.Parallel()
	e := loadedEngine(t)
	class := &gwv1.GatewayClass{Spec: gwv1.GatewayClassSpec{ControllerName: graph.ControllerName}}
	class.Name = "ours"
	gateway := &gwv1.Gateway{Spec: gwv1.GatewaySpec{
		GatewayClassName: "ours", Listeners: []gwv1.Listener{{Name: "http", Port: 80, Protocol: gwv1.HTTPProtocolType}},
	}}
	gateway.Namespace, gateway.Name = "ns", "gw"
	route := &gwv1.HTTPRoute{}
	route.Namespace, route.Name = "ns", "r"
	route.Spec.ParentRefs = []gwv1.ParentReference{{Name: "gw"}}
	gatewayKey := graph.Key{Kind: graph.KindGateway, Namespace: "ns", Name: "gw"}
	routeKey := graph.Key{Kind: graph.KindHTTPRoute, Namespace: "ns", Name: "r"}

	e.graph.Apply(class)
	e.graph.Apply(gateway)
	e.graph.Apply(e.staleStatus(gatewayKey).(metav1.Object))
	e.enqueue(e.changed(e.graph.Apply(route)))
	if e.unsettled[gatewayKey] != 1 {
		t.Fatalf("to be written are %v, and not the Gateway", e.unsettled)
	}
	stale := e.changed(e.graph.Delete(routeKey))
	if e.staleStatus(gatewayKey) != nil {
		t.Fatal("the Gateway is not stored with what is right without the route")
	}
	if !slices.Contains(stale, gatewayKey) {
		t.Errorf("nobody waits for the Gateway, only for %v", stale)
	}
}

// loadedEngine is an engine that doesn't run, and has nothing to wait for.
func loadedEngine(t *testing.T) *Engine {
	e := New(cache.New(nodes.Bases()...), klog.Background())
	t.Cleanup(e.queue.ShutDown)
	e.loaded = true
	e.inputs.Writers = map[graph.Kind]StatusWriter{}
	for _, kind := range statusKinds {
		e.inputs.Writers[kind] = struct{ StatusWriter }{} // that there is one is all that matters
	}
	return e
}

// rendered returns an object with no other status than ours; nil if there is no such object.
func rendered(e *Engine, key graph.Key) runtime.Object {
	of := kinds[key.Kind].status
	if of == nil {
		return nil
	}
	facts := of.facts(e.graph, key)
	if facts == nil {
		return nil
	}
	obj := e.graph.Object(key).(runtime.Object).DeepCopyObject()
	of.copy(obj, reflect.New(reflect.TypeOf(obj).Elem()).Interface().(runtime.Object))
	of.render(facts, obj)
	return obj
}
