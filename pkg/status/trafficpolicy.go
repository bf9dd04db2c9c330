package status

import (
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// BackendTrafficPolicy returns the status of an XBackendTrafficPolicy of the given metadata.generation: the condition
// Accepted for each of its ancestors, merged into old.
func BackendTrafficPolicy(f *graph.BackendTrafficPolicyFacts, old gwv1.PolicyStatus, generation int64, now metav1.Time) gwv1.PolicyStatus {
	return policy(f.Ancestors, func(a *graph.PolicyAncestorFacts) []verdict {
		return []verdict{
			positive(gwv1.PolicyConditionAccepted, a.Unaccepted, gwv1.PolicyReasonAccepted, policyInEffect(f, a.Ref)),
			unprogrammed(a.Rejected),
		}
	}, old, generation, now)
}

// policyInEffect says where an accepted policy is in effect, what of it isn't, and for which targets: "Configuration is
// valid, but ... does not support the following fields" (GEP-3388).
func policyInEffect(f *graph.BackendTrafficPolicyFacts, ref gwv1.ParentReference) string {
	var parts []string
	if *ref.Kind == gwv1.Kind(graph.KindGateway) {
		parts = append(parts, "In effect for the requests that the Gateway forwards")
	} else {
		parts = append(parts, "In effect as soon as a Gateway or a sidecar forwards requests to it; proxyless gRPC clients do without")
	}
	for i := range f.Targets {
		t := &f.Targets[i]
		if t.Unaccepted == nil {
			continue
		}
		for _, a := range t.Ancestors {
			if reflect.DeepEqual(a, ref) {
				parts = append(parts, "Not for "+t.Unaccepted.Message)
			}
		}
	}
	return strings.Join(append(parts, f.Warnings...), ". ")
}

// BackendTrafficPolicyWarnings returns what the writer of an XBackendTrafficPolicy should know.
func BackendTrafficPolicyWarnings(f *graph.BackendTrafficPolicyFacts) []string {
	var w warnings
	for i := range f.Targets {
		w.problem("the policy is not accepted for a target", f.Targets[i].Unaccepted)
	}
	w.noRoomForAncestors(f.Ancestors)
	w.add(f.Warnings...)
	return w
}
