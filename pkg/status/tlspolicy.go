package status

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// BackendTLSPolicy returns the status of a BackendTLSPolicy of the given metadata.generation: for each of its ancestors
// that there is room for, an entry with the conditions Accepted and ResolvedRefs, merged into old.
func BackendTLSPolicy(f *graph.BackendTLSPolicyFacts, old gwv1.PolicyStatus, generation int64, now metav1.Time) gwv1.PolicyStatus {
	return policy(f.Ancestors, func(a *graph.PolicyAncestorFacts) []verdict {
		return []verdict{
			positive(gwv1.PolicyConditionAccepted, a.Unaccepted, gwv1.PolicyReasonAccepted, tlsInEffect(f, a)),
			positive(gwv1.BackendTLSPolicyConditionResolvedRefs, f.Unresolved, gwv1.BackendTLSPolicyReasonResolvedRefs, messageResolved),
			unprogrammed(a.Rejected),
		}
	}, old, generation, now)
}

// tlsInEffect says what an accepted policy does for an ancestor, for whom it can't, and what of it has no effect.
func tlsInEffect(f *graph.BackendTLSPolicyFacts, a *graph.PolicyAncestorFacts) string {
	by := "The Gateway connects to the targets with TLS"
	if *a.Ref.Kind != gwv1.Kind(graph.KindGateway) {
		by = "In effect as soon as a Gateway or a sidecar forwards requests to it"
	}
	parts := []string{by, "Calls of proxyless gRPC clients fail, because they cannot be told to use TLS"}
	return strings.Join(append(parts, f.Warnings...), ". ")
}

// BackendTLSPolicyWarnings returns what the writer of a BackendTLSPolicy should know.
func BackendTLSPolicyWarnings(f *graph.BackendTLSPolicyFacts) []string {
	var w warnings
	for i := range f.Ancestors {
		a := &f.Ancestors[i]
		w.problem(fmt.Sprintf("the policy is not accepted for %s %s/%s", *a.Ref.Kind, *a.Ref.Namespace, a.Ref.Name), a.Unaccepted)
	}
	w.problem("a CA certificate is not resolved", f.Unresolved)
	w.noRoomForAncestors(f.Ancestors)
	w.add(f.Warnings...)
	return w
}
