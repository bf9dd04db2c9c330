package status

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// RestoreGatewayClass returns the status that a client has written, with our conditions as they are stored: what the
// client made of them, or that it left them out, is no transition.
func RestoreGatewayClass(f *graph.GatewayClassFacts, written, stored gwv1.GatewayClassStatus) gwv1.GatewayClassStatus {
	if f.Managed {
		written.Conditions = restore(written.Conditions, stored.Conditions, classConditionTypes)
	}
	return written
}

// RestoreGateway is RestoreGatewayClass for a Gateway and its listeners.
func RestoreGateway(f *graph.GatewayFacts, written, stored gwv1.GatewayStatus) gwv1.GatewayStatus {
	if !f.Managed {
		return written
	}
	written.Conditions = restore(written.Conditions, stored.Conditions, gatewayConditionTypes)
	written.Addresses = stored.Addresses // of a pool, a Gateway keeps those that its status has
	written.Listeners = slices.Clone(written.Listeners)
	for _, s := range stored.Listeners {
		i := slices.IndexFunc(written.Listeners, func(w gwv1.ListenerStatus) bool { return w.Name == s.Name })
		if i < 0 {
			i = len(written.Listeners)
			written.Listeners = append(written.Listeners, gwv1.ListenerStatus{Name: s.Name})
		}
		w := &written.Listeners[i]
		w.Conditions = restore(w.Conditions, s.Conditions, listenerConditionTypes)
	}
	return written
}

// RestoreRoute is RestoreGatewayClass for a route: it is our entries that are as they are stored.
func RestoreRoute(written, stored gwv1.RouteStatus) gwv1.RouteStatus {
	isOurs := func(p gwv1.RouteParentStatus) bool { return p.ControllerName == graph.ControllerName }
	var ours []gwv1.RouteParentStatus
	for _, p := range stored.Parents {
		if isOurs(p) {
			ours = append(ours, p)
		}
	}
	var parents []gwv1.RouteParentStatus
	for _, p := range written.Parents {
		if isOurs(p) {
			if len(ours) == 0 {
				continue
			}
			p, ours = ours[0], ours[1:]
		}
		parents = append(parents, p)
	}
	written.Parents = append(parents, ours...)
	return written
}

// restore returns the written conditions with the stored ones of the given types in place of what was written of them.
func restore(written, stored []metav1.Condition, types []string) []metav1.Condition {
	restored := make([]metav1.Condition, 0, len(written)+len(types))
	for _, c := range written {
		if slices.Contains(types, c.Type) {
			s := meta.FindStatusCondition(stored, c.Type)
			if s == nil {
				continue
			}
			c = *s
		}
		restored = append(restored, c)
	}
	for _, s := range stored {
		if slices.Contains(types, s.Type) && meta.FindStatusCondition(restored, s.Type) == nil {
			restored = append(restored, s)
		}
	}
	return restored
}
