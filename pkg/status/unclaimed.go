package status

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// unclaimed is the status of a Gateway that is nobody's, because its class doesn't exist: it waits for a controller, as
// the CRD's default status has it (Unknown, Pending). What was ours in it, while there was such a class, goes.
func unclaimed(f *graph.GatewayFacts, old gwv1.GatewayStatus, generation int64, now metav1.Time) gwv1.GatewayStatus {
	status := *old.DeepCopy()
	var verdicts []verdict
	for _, conditionType := range gatewayConditionTypes {
		v := verdict{conditionType: conditionType} // removes it
		switch gwv1.GatewayConditionType(conditionType) {
		case gwv1.GatewayConditionAccepted, gwv1.GatewayConditionProgrammed:
			v.status, v.reason = metav1.ConditionUnknown, string(gwv1.GatewayReasonPending)
			v.message = fmt.Sprintf("Waiting for controller: GatewayClass %s does not exist", f.Object.Spec.GatewayClassName)
		}
		verdicts = append(verdicts, v)
	}
	merge(&status.Conditions, generation, now, verdicts...)
	status.Addresses, status.AttachedListenerSets = nil, nil
	for i := range status.Listeners {
		l := &status.Listeners[i]
		l.Conditions = restore(l.Conditions, nil, listenerConditionTypes)
		l.SupportedKinds, l.AttachedRoutes = []gwv1.RouteGroupKind{}, 0
	}
	status.Listeners = slices.DeleteFunc(status.Listeners, func(l gwv1.ListenerStatus) bool { return len(l.Conditions) == 0 })
	if len(status.Listeners) == 0 {
		status.Listeners = nil
	}
	return status
}
