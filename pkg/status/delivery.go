package status

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// ConditionDelivered is the type of the condition of a Gateway that is True when all nodes that are connected have acknowledged all that
// is published for it. A Gateway that never had a node has no such condition.
const ConditionDelivered = "gateway-apiserver.dev/Delivered"

// The reasons of ConditionDelivered.
const (
	// ReasonDelivered is that of True.
	ReasonDelivered = "Delivered"
	// ReasonPending is that of False while nodes have still to acknowledge something.
	ReasonPending = "Pending"
	// ReasonRejected is that of False when nodes have rejected something.
	ReasonRejected = "Rejected"
	// ReasonNoNodes is that of Unknown: no node is connected.
	ReasonNoNodes = "NoNodes"
)

// delivered returns the verdict on ConditionDelivered, or none if the condition is to stay as it is in old, generation and
// all: what is said of a generation is that the nodes have it. What hasn't been True becomes that when it is proven.
//
// What turns True into False is that something else is published, or that a node rejects it. A node that has just
// connected isn't current for a moment, and that is no news.
func delivered(d *graph.DeliveryFacts, old []metav1.Condition, generation int64) []verdict {
	if d == nil {
		return nil
	}
	before := meta.FindStatusCondition(old, ConditionDelivered)
	was := before != nil && before.Status == metav1.ConditionTrue
	switch {
	case d.Outdated:
		return pending(fmt.Sprintf("Nodes have still to acknowledge version %s, which is the configuration of generation %d", d.Version, generation))
	case was && d.Current < d.Nodes && d.Rejecting == 0 && !d.Late, d.Nodes == 0 && before == nil:
		return nil
	case d.Nodes == 0:
		return []verdict{{ConditionDelivered, metav1.ConditionUnknown, ReasonNoNodes, "No node is connected"}}
	case d.Rejecting > 0:
		return []verdict{{ConditionDelivered, metav1.ConditionFalse, ReasonRejected,
			fmt.Sprintf("%d of %d nodes rejected configuration of generation %d", d.Rejecting, d.Nodes, generation)}}
	case d.Current < d.Nodes:
		return pending(fmt.Sprintf("%d of %d nodes have acknowledged the latest configuration of generation %d", d.Current, d.Nodes, generation))
	case !was && !d.Proven:
		return nil
	}
	return []verdict{{ConditionDelivered, metav1.ConditionTrue, ReasonDelivered,
		fmt.Sprintf("%d of %d nodes serve generation %d", d.Current, d.Nodes, generation)}}
}

func pending(message string) []verdict {
	return []verdict{{ConditionDelivered, metav1.ConditionFalse, ReasonPending, message}}
}
