package status_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

func TestDelivered(t *testing.T) {
	t.Parallel()
	const (
		none     = ""
		yes      = "Delivered=True Delivered: 3 of 3 nodes serve generation 7"
		pending  = "Delivered=False Pending: 1 of 3 nodes have acknowledged the latest configuration of generation 7"
		outdated = "Delivered=False Pending: Nodes have still to acknowledge version v, which is the configuration of generation 7"
		rejected = "Delivered=False Rejected: 1 of 3 nodes rejected configuration of generation 7"
		noNodes  = "Delivered=Unknown NoNodes: No node is connected"
	)
	was := func(s metav1.ConditionStatus) string { return "Delivered=" + string(s) + " Before: before" }
	tests := []struct {
		name  string
		facts *graph.DeliveryFacts
		// What it is of a Gateway that hasn't the condition, that has it and it is False or Unknown, and True.
		without, withFalse, withTrue string
	}{
		{"nothing new", nil, none, was("False"), was("True")},
		{"something else is published", &graph.DeliveryFacts{Outdated: true, Version: "v"}, outdated, outdated, outdated},
		{"all have what is known", &graph.DeliveryFacts{Nodes: 3, Current: 3}, none, was("False"), yes},
		{"all have it", &graph.DeliveryFacts{Nodes: 3, Current: 3, Proven: true}, yes, yes, yes},
		{"not all have it", &graph.DeliveryFacts{Nodes: 3, Current: 1, Late: true}, pending, pending, pending},
		{"some have just connected", &graph.DeliveryFacts{Nodes: 3, Current: 1}, pending, pending, was("True")},
		{"one rejects it", &graph.DeliveryFacts{Nodes: 3, Current: 2, Rejecting: 1}, rejected, rejected, rejected},
		{"no nodes", &graph.DeliveryFacts{}, none, noNodes, noNodes},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for stored, want := range map[metav1.ConditionStatus]string{"": tt.without, "False": tt.withFalse, "True": tt.withTrue} {
				f := gateway()
				f.Delivery = tt.facts
				var old gwv1.GatewayStatus
				if stored != "" {
					old.Conditions = []metav1.Condition{{Type: status.ConditionDelivered, Status: stored, Reason: "Before", Message: "before", ObservedGeneration: 6}}
				}
				got := none
				for _, c := range status.Gateway(f, old, 7, now).Conditions {
					if c.Type != status.ConditionDelivered {
						continue
					}
					got = "Delivered=" + string(c.Status) + " " + c.Reason + ": " + c.Message
					if said := c.ObservedGeneration == 7; said == (c.Reason == "Before") {
						t.Errorf("%s is said of generation %d", got, c.ObservedGeneration)
					}
				}
				equal(t, "with "+string(stored), got, want)
			}
		})
	}
}
