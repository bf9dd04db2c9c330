package status_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

// TestRejected: what nodes reject is said of each kind of object that they can reject something of, and not of others.
func TestRejected(t *testing.T) {
	t.Parallel()
	r := &graph.RejectionFacts{Nodes: 1, Message: "bad\nregex"}
	const want = `Invalid: 1 node rejected this configuration: "bad\nregex"`
	rejected, fine := listener("rejected"), listener("fine")
	rejected.Rejected = r
	gw := gateway(rejected, fine)
	gw.Rejected = r
	gatewayStatus := status.Gateway(gw, gwv1.GatewayStatus{}, 1, now)
	set := status.ListenerSet(&graph.ListenerSetFacts{
		Managed: true, Listeners: []*graph.ListenerFacts{rejected, fine}, AttachedRoutes: []int32{0, 0}, Rejected: r,
	}, gwv1.ListenerSetStatus{}, 1, now)
	route := status.Route(&graph.RouteFacts{Parents: []graph.ParentFacts{
		{Ref: ref("a"), Managed: true, Rejected: r}, {Ref: ref("b"), Managed: true},
	}}, gwv1.RouteStatus{}, 1, now)
	ancestors := []graph.PolicyAncestorFacts{{Ref: gatewayRef("a"), Rejected: r}, {Ref: gatewayRef("b")}}
	tlsPolicy := status.BackendTLSPolicy(&graph.BackendTLSPolicyFacts{Ancestors: ancestors}, gwv1.PolicyStatus{}, 1, now)
	trafficPolicy := status.BackendTrafficPolicy(&graph.BackendTrafficPolicyFacts{Ancestors: ancestors}, gwv1.PolicyStatus{}, 1, now)
	first := gatewayRef("a")
	backend := status.XBackend(&graph.XBackendFacts{
		Ancestors: []gwv1.ParentReference{gatewayRef("a"), gatewayRef("b")},
		Rejected:  map[types.NamespacedName]*graph.RejectionFacts{{Namespace: string(*first.Namespace), Name: "a"}: r},
	}, gwxv1alpha1.BackendStatus{}, 1, now)

	tests := []struct {
		of            string
		conditionType string
		with, without []metav1.Condition
	}{
		{"Gateway", "Programmed", gatewayStatus.Conditions, nil},
		{"listener", "Programmed", gatewayStatus.Listeners[0].Conditions, gatewayStatus.Listeners[1].Conditions},
		{"ListenerSet", "Programmed", set.Conditions, nil},
		{"its listener", "Programmed", set.Listeners[0].Conditions, set.Listeners[1].Conditions},
		{"route", status.ConditionProgrammed, route.Parents[0].Conditions, route.Parents[1].Conditions},
		{"BackendTLSPolicy", status.ConditionProgrammed, tlsPolicy.Ancestors[0].Conditions, tlsPolicy.Ancestors[1].Conditions},
		{"XBackendTrafficPolicy", status.ConditionProgrammed, trafficPolicy.Ancestors[0].Conditions, trafficPolicy.Ancestors[1].Conditions},
		{"XBackend", status.ConditionProgrammed, backend.Ancestors[0].Conditions, backend.Ancestors[1].Conditions},
	}
	for _, tt := range tests {
		c := meta.FindStatusCondition(tt.with, tt.conditionType)
		if c == nil || c.Status != metav1.ConditionFalse || c.Reason+": "+c.Message != want {
			t.Errorf("of a %s that is rejected, %s is %v", tt.of, tt.conditionType, c)
		}
		if c := meta.FindStatusCondition(tt.without, tt.conditionType); c != nil && c.Status != metav1.ConditionTrue {
			t.Errorf("of a %s that isn't rejected, %s is %v", tt.of, tt.conditionType, c)
		}
	}
}

// TestRejectionMessages: a condition has no room for all that a node may say, and what can't be printed is escaped.
func TestRejectionMessages(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		facts graph.RejectionFacts
		want  string
	}{
		{"several nodes", graph.RejectionFacts{Nodes: 2, Message: "m"}, `2 nodes rejected this configuration: "m"`},
		{"many nodes", graph.RejectionFacts{Nodes: 256, More: true, Message: "m"}, `more than 256 nodes rejected this configuration: "m"`},
		{"control characters", graph.RejectionFacts{Nodes: 1, Message: "a\x1b[31m\x00é\xff"}, `1 node rejected this configuration: "a\x1b[31m\x00é\xff"`},
		{"long", graph.RejectionFacts{Nodes: 1, Message: strings.Repeat("é", 2000)},
			`1 node rejected this configuration: "` + strings.Repeat("é", 1022) + `..."`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			gw := gateway()
			gw.Rejected = &tt.facts
			c := meta.FindStatusCondition(status.Gateway(gw, gwv1.GatewayStatus{}, 1, now).Conditions, "Programmed")
			equal(t, "message", c.Message, tt.want)
		})
	}
}

// TestUnprogrammedFirst: what we find wrong ourselves goes before what nodes say.
func TestUnprogrammedFirst(t *testing.T) {
	t.Parallel()
	gw := gateway()
	gw.Rejected, gw.Unprogrammed = &graph.RejectionFacts{Nodes: 1, Message: "m"}, problem("AddressNotAssigned", "no address")
	c := meta.FindStatusCondition(status.Gateway(gw, gwv1.GatewayStatus{}, 1, now).Conditions, "Programmed")
	equal(t, "reason", c.Reason, "AddressNotAssigned")
}
