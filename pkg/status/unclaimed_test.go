package status_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

// TestUnclaimedGateway: what was ours goes with the class, what others wrote stays.
func TestUnclaimedGateway(t *testing.T) {
	t.Parallel()
	f := &graph.GatewayFacts{ClassMissing: true, Object: &gwv1.Gateway{Spec: gwv1.GatewaySpec{GatewayClassName: "gone"}}}
	theirs := cond("example.com/Theirs", "New")
	old := gwv1.GatewayStatus{
		Conditions: []metav1.Condition{cond("Accepted", "Accepted"), theirs, cond("Programmed", "Programmed"), cond("ResolvedRefs", "ResolvedRefs"), cond("InsecureFrontendValidationMode", "ConfigurationChanged")},
		Listeners: []gwv1.ListenerStatus{
			{Name: "a", AttachedRoutes: 3, Conditions: []metav1.Condition{cond("Accepted", "Accepted")}},
			{Name: "b", AttachedRoutes: 3, Conditions: []metav1.Condition{theirs, cond("Programmed", "Programmed")}},
		},
	}
	now := metav1.Now()
	waiting := func(conditionType string) metav1.Condition {
		return metav1.Condition{
			Type: conditionType, Status: metav1.ConditionUnknown, Reason: "Pending", ObservedGeneration: 2, LastTransitionTime: now,
			Message: "Waiting for controller: GatewayClass gone does not exist",
		}
	}
	got := status.Gateway(f, old, 2, now)
	equal(t, "once", got, gwv1.GatewayStatus{
		Conditions: []metav1.Condition{waiting("Accepted"), theirs, waiting("Programmed")},
		Listeners:  []gwv1.ListenerStatus{{Name: "b", SupportedKinds: []gwv1.RouteGroupKind{}, Conditions: []metav1.Condition{theirs}}},
	})
	equal(t, "twice", status.Gateway(f, got, 2, metav1.Time{}), got)
}
