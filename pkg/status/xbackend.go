package status

import (
	"fmt"
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// maxBackendAncestors is the maxItems of status.parents of an XBackend: "A maximum of 32 parents will be represented in this list."
const maxBackendAncestors = 32

// XBackend returns the status of an XBackend of the given metadata.generation: for each Gateway that uses it and that there is room
// for, an entry with the conditions Accepted and, as the specification has it for BackendTLSPolicies, ResolvedRefs, merged into
// old. "An empty list indicates that the Backend is not associated with any parents."
func XBackend(f *graph.XBackendFacts, old gwxv1alpha1.BackendStatus, generation int64, now metav1.Time) gwxv1alpha1.BackendStatus {
	status := *old.DeepCopy()
	room := maxBackendAncestors
	for _, entry := range status.Ancestors {
		if entry.ControllerName != graph.ControllerName {
			room--
		}
	}
	var ours []gwxv1alpha1.BackendAncestorStatus
	for _, ref := range f.Ancestors[:min(len(f.Ancestors), max(0, room))] {
		entry := backendEntry(status.Ancestors, ref)
		merge(&entry.Conditions, generation, now,
			positive(gwv1.PolicyConditionAccepted, f.Unaccepted, gwv1.PolicyReasonAccepted, backendInEffect(f)),
			positive(gwv1.BackendTLSPolicyConditionResolvedRefs, f.Unresolved, gwv1.BackendTLSPolicyReasonResolvedRefs, messageResolved),
			unprogrammed(f.Rejected[types.NamespacedName{Namespace: string(*ref.Namespace), Name: string(ref.Name)}]))
		ours = append(ours, entry)
	}
	status.Ancestors = replaceBackendEntries(status.Ancestors, ours)
	return status
}

func backendInEffect(f *graph.XBackendFacts) string {
	return strings.Join(append([]string{"The Gateway connects to it"}, f.Warnings...), ". ")
}

// backendEntry returns our entry for an ancestor, or an empty one.
func backendEntry(entries []gwxv1alpha1.BackendAncestorStatus, ref gwv1.ParentReference) gwxv1alpha1.BackendAncestorStatus {
	for _, entry := range entries {
		if entry.ControllerName == graph.ControllerName && reflect.DeepEqual(entry.AncestorRef, ref) {
			return entry
		}
	}
	return gwxv1alpha1.BackendAncestorStatus{AncestorRef: *ref.DeepCopy(), ControllerName: graph.ControllerName}
}

// replaceBackendEntries is replaceAncestors for an XBackend, whose list may be left out.
func replaceBackendEntries(all, ours []gwxv1alpha1.BackendAncestorStatus) []gwxv1alpha1.BackendAncestorStatus {
	var entries []gwxv1alpha1.BackendAncestorStatus
	for _, entry := range all {
		if entry.ControllerName == graph.ControllerName {
			if len(ours) == 0 {
				continue
			}
			entry, ours = ours[0], ours[1:]
		}
		entries = append(entries, entry)
	}
	return append(entries, ours...)
}

// RestoreXBackend is RestoreGatewayClass for an XBackend: it is our entries that are as they are stored.
func RestoreXBackend(_ *graph.XBackendFacts, written, stored gwxv1alpha1.BackendStatus) gwxv1alpha1.BackendStatus {
	var ours []gwxv1alpha1.BackendAncestorStatus
	for _, entry := range stored.Ancestors {
		if entry.ControllerName == graph.ControllerName {
			ours = append(ours, entry)
		}
	}
	written.Ancestors = replaceBackendEntries(written.Ancestors, ours)
	return written
}

// XBackendWarnings returns what the writer of an XBackend should know.
func XBackendWarnings(f *graph.XBackendFacts) []string {
	var w warnings
	w.problem("nothing connects to the XBackend", f.Unaccepted)
	if f.Unaccepted == nil || f.Unresolved != nil && f.Unresolved.Reason != f.Unaccepted.Reason {
		w.problem("a reference is not resolved", f.Unresolved)
	}
	if more := len(f.Ancestors) - maxBackendAncestors; more > 0 {
		w.add(fmt.Sprintf("status.parents has no room for %d more Gateways that use the XBackend", more))
	}
	w.add(f.Warnings...)
	return w
}
