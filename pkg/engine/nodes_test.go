package engine

import (
	"fmt"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph/graphtest"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// TestNodes holds over random histories that which scope a node gets is a function of the objects that there are.
func TestNodes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(histories()) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			history := graphtest.New(graphtest.Random(seed, 4000))
			p := newPublication(t)
			for change := range history.Changes() {
				p.dirty.Merge(change.Do(p.graph))
				if history.Choose(3) > 0 {
					continue
				}
				p.publisher.publishNodes(p.graph, p.dirty.Fleets)
				p.dirty = graph.Dirty{}
				fresh := newPublication(t)
				for _, obj := range history.Objects {
					fresh.dirty.Merge(fresh.graph.Apply(obj))
				}
				fresh.publisher.publishNodes(fresh.graph, fresh.dirty.Fleets)
				if diff := cmp.Diff(scopesOfNodes(fresh.publisher.nodes), scopesOfNodes(p.publisher.nodes)); diff != "" {
					t.Fatalf("after %s, nodes get (-what they should +what they do):\n%s", change, diff)
				}
			}
		})
	}
}

// scopesOfNodes returns what nodes get that name nothing, one of the Gateways, or one of the fleets of a history.
func scopesOfNodes(d *nodes.Directory) map[string]string {
	scopes := map[string]string{}
	ask := func(id, key, name string) {
		node := &corev3.Node{Id: id, Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{}}}
		if key != "" {
			node.Metadata.Fields[key] = structpb.NewStringValue(name)
		}
		scope, err := d.Scope(node)
		if err != nil {
			scope = "refused: " + err.Error()
		}
		scopes[id+" "+name] = scope
	}
	for _, id := range []string{"edge-1", "edge-2", "core"} {
		ask(id, "", "")
		for _, key := range graphtest.KeysOf(graph.KindGateway) {
			ask(id, nodes.GatewayKey, key.NamespacedName().String())
		}
		for _, key := range graphtest.KeysOf(graph.KindEnvoyFleet) {
			ask(id, nodes.FleetKey, key.NamespacedName().String())
		}
	}
	return scopes
}

// TestNodesMove holds that nodes are sent to another scope when there is something for them, and before what they have is
// withdrawn, in both directions.
func TestNodesMove(t *testing.T) {
	t.Parallel()
	p := newPublication(t)
	apply := func(obj metav1.Object) { p.dirty.Merge(p.graph.Apply(obj)) }
	fleet := func(merged bool) *fleetv1alpha1.EnvoyFleet {
		return &fleetv1alpha1.EnvoyFleet{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "f"}, Spec: fleetv1alpha1.EnvoyFleetSpec{MergeGateways: merged}}
	}
	apply(&gwv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "ours"}, Spec: gwv1.GatewayClassSpec{ControllerName: graph.ControllerName}})
	apply(fleet(false))
	apply(&gwv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "gw"}, Spec: gwv1.GatewaySpec{
		GatewayClassName: "ours",
		Listeners:        []gwv1.Listener{{Name: "http", Port: 80, Protocol: gwv1.HTTPProtocolType}},
		Infrastructure: &gwv1.GatewayInfrastructure{ParametersRef: &gwv1.LocalParametersReference{
			Group: fleetv1alpha1.GroupName, Kind: "EnvoyFleet", Name: "f",
		}},
	}})
	p.publish()

	node := &corev3.Node{Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{nodes.GatewayKey: structpb.NewStringValue("ns/gw")}}}
	alone, merged := nodes.GatewayScope("ns/gw"), nodes.FleetScope("ns/f")
	want := alone
	check := func(what string) {
		t.Helper()
		if scope, err := p.publisher.nodes.Scope(node); scope != want || err != nil {
			t.Errorf("%s: the node gets %q, %v, want %q", what, scope, err, want)
		}
	}
	check("at first")
	moves := 0
	defer p.publisher.nodes.Follow(func() {
		moves++
		check("while it moves")
		if !p.xds.Published(alone) || !p.xds.Published(merged) {
			t.Errorf("while nodes move, the scope of the Gateway is published: %t, that of the fleet: %t; want both", p.xds.Published(alone), p.xds.Published(merged))
		}
	})()
	for _, to := range []bool{true, false} {
		want = alone
		if to {
			want = merged
		}
		apply(fleet(to))
		p.publish()
		check("after that")
		if p.xds.Published(alone) == to || p.xds.Published(merged) != to {
			t.Errorf("merged: %t, and the scope of the Gateway is published: %t, that of the fleet: %t", to, p.xds.Published(alone), p.xds.Published(merged))
		}
	}
	if moves != 2 {
		t.Errorf("nodes moved %d times, want 2", moves)
	}
}
