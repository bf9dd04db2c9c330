package status_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

func cond(conditionType, reason string) metav1.Condition {
	return metav1.Condition{Type: conditionType, Status: metav1.ConditionTrue, Reason: reason}
}

func TestRestoreGatewayClass(t *testing.T) {
	t.Parallel()
	stored := gwv1.GatewayClassStatus{Conditions: []metav1.Condition{cond("Accepted", "Ours"), cond("Theirs", "Old")}}
	written := gwv1.GatewayClassStatus{Conditions: []metav1.Condition{cond("Theirs", "New"), cond("Accepted", "Forged")}}
	want := gwv1.GatewayClassStatus{Conditions: []metav1.Condition{cond("Theirs", "New"), cond("Accepted", "Ours")}}
	equal(t, "ours", status.RestoreGatewayClass(&graph.GatewayClassFacts{Managed: true}, written, stored), want)
	equal(t, "another controller's", status.RestoreGatewayClass(&graph.GatewayClassFacts{}, written, stored), written)
}

func TestRestoreGateway(t *testing.T) {
	t.Parallel()
	stored := gwv1.GatewayStatus{
		Conditions: []metav1.Condition{cond("Accepted", "Ours"), cond("Programmed", "Ours")},
		Listeners: []gwv1.ListenerStatus{
			{Name: "a", Conditions: []metav1.Condition{cond("Accepted", "Ours")}},
			{Name: "b", Conditions: []metav1.Condition{cond("Accepted", "Ours"), cond("Theirs", "Gone")}},
		},
	}
	written := gwv1.GatewayStatus{
		Conditions: []metav1.Condition{cond("Theirs", "New"), cond("ResolvedRefs", "Forged"), cond("InsecureFrontendValidationMode", "Forged")},
		Listeners:  []gwv1.ListenerStatus{{Name: "b", Conditions: []metav1.Condition{cond("Theirs", "New")}}},
	}
	want := gwv1.GatewayStatus{
		Conditions: []metav1.Condition{cond("Theirs", "New"), cond("Accepted", "Ours"), cond("Programmed", "Ours")},
		Listeners: []gwv1.ListenerStatus{
			{Name: "b", Conditions: []metav1.Condition{cond("Theirs", "New"), cond("Accepted", "Ours")}},
			{Name: "a", Conditions: []metav1.Condition{cond("Accepted", "Ours")}},
		},
	}
	equal(t, "ours", status.RestoreGateway(&graph.GatewayFacts{Managed: true}, written, stored), want)
	equal(t, "another controller's", status.RestoreGateway(&graph.GatewayFacts{}, written, stored), written)
}

func TestRestoreRoute(t *testing.T) {
	t.Parallel()
	entry := func(controller gwv1.GatewayController, parent, reason string) gwv1.RouteParentStatus {
		return gwv1.RouteParentStatus{
			ControllerName: controller, ParentRef: gwv1.ParentReference{Name: gwv1.ObjectName(parent)},
			Conditions: []metav1.Condition{cond("Accepted", reason)},
		}
	}
	const ours, theirs = graph.ControllerName, "example.com/theirs"
	stored := gwv1.RouteStatus{Parents: []gwv1.RouteParentStatus{entry(ours, "a", "Ours"), entry(theirs, "t", "Old"), entry(ours, "b", "Ours")}}
	equal(t, "left out", status.RestoreRoute(gwv1.RouteStatus{Parents: []gwv1.RouteParentStatus{entry(theirs, "t", "New")}}, stored),
		gwv1.RouteStatus{Parents: []gwv1.RouteParentStatus{entry(theirs, "t", "New"), entry(ours, "a", "Ours"), entry(ours, "b", "Ours")}})
	equal(t, "forged", status.RestoreRoute(gwv1.RouteStatus{Parents: []gwv1.RouteParentStatus{entry(ours, "x", "Forged")}}, gwv1.RouteStatus{}),
		gwv1.RouteStatus{})
}
