package status

import (
	"fmt"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// maxAncestors is the maxItems of status.ancestors in the CRDs: "If this slice is full, implementations MUST NOT add
// further entries." Those of other controllers stay, the last of ours are left out.
const maxAncestors = 16

// policy returns the status of a policy of the given metadata.generation: one entry for each of its ancestors, with the
// conditions that verdicts returns for it. An entry is found again by its controllerName and ancestorRef: "the list of
// PolicyAncestorStatus structs MUST be treated as a map with a composite key". The order is that of Route's entries.
//
// status.ancestors is never nil, because the schema requires an array.
func policy(
	ancestors []graph.PolicyAncestorFacts, verdicts func(*graph.PolicyAncestorFacts) []verdict,
	old gwv1.PolicyStatus, generation int64, now metav1.Time,
) gwv1.PolicyStatus {
	status := *old.DeepCopy()
	room := maxAncestors
	for _, entry := range status.Ancestors {
		if entry.ControllerName != graph.ControllerName {
			room--
		}
	}
	var ours []gwv1.PolicyAncestorStatus
	for i := range ancestors[:min(len(ancestors), max(0, room))] {
		entry := ancestorEntry(status.Ancestors, ancestors[i].Ref)
		merge(&entry.Conditions, generation, now, verdicts(&ancestors[i])...)
		ours = append(ours, entry)
	}
	status.Ancestors = replaceAncestors(status.Ancestors, ours)
	return status
}

// ancestorEntry returns our entry for an ancestor, or an empty one.
func ancestorEntry(ancestors []gwv1.PolicyAncestorStatus, ref gwv1.ParentReference) gwv1.PolicyAncestorStatus {
	for _, entry := range ancestors {
		if entry.ControllerName == graph.ControllerName && reflect.DeepEqual(entry.AncestorRef, ref) {
			return entry
		}
	}
	return gwv1.PolicyAncestorStatus{AncestorRef: *ref.DeepCopy(), ControllerName: graph.ControllerName}
}

// replaceAncestors puts ours in place of the entries that are ours. More than before go to the end, fewer leave the last
// places.
func replaceAncestors(all, ours []gwv1.PolicyAncestorStatus) []gwv1.PolicyAncestorStatus {
	ancestors := make([]gwv1.PolicyAncestorStatus, 0, len(all)+len(ours))
	for _, entry := range all {
		if entry.ControllerName == graph.ControllerName {
			if len(ours) == 0 {
				continue
			}
			entry, ours = ours[0], ours[1:]
		}
		ancestors = append(ancestors, entry)
	}
	return append(ancestors, ours...)
}

// noRoomForAncestors warns of ancestors that status has no entry for, however few entries others have.
func (w *warnings) noRoomForAncestors(ancestors []graph.PolicyAncestorFacts) {
	if more := len(ancestors) - maxAncestors; more > 0 {
		w.add(fmt.Sprintf("status.ancestors has no room for %d more Gateways and targets that the policy applies to", more))
	}
}

// RestorePolicy is RestoreGatewayClass for a policy: it is our entries that are as they are stored.
func RestorePolicy(written, stored gwv1.PolicyStatus) gwv1.PolicyStatus {
	var ours []gwv1.PolicyAncestorStatus
	for _, entry := range stored.Ancestors {
		if entry.ControllerName == graph.ControllerName {
			ours = append(ours, entry)
		}
	}
	written.Ancestors = replaceAncestors(written.Ancestors, ours)
	return written
}
