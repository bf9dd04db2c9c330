package graph

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// PolicyAncestorFacts is what is true of a policy for one of its ancestors.
type PolicyAncestorFacts struct {
	Ref gwv1.ParentReference
	// Unaccepted: TargetNotFound, Conflicted, Invalid; of a BackendTLSPolicy also NoValidCACertificate.
	Unaccepted *Problem
	// Rejected says that nodes of the ancestor have rejected what was made of the policy.
	Rejected *RejectionFacts
}

// policyTarget returns what a targetRef of a policy in a namespace selects, if it is of one of the kinds that the policy can be
// attached to. Unlike a backendRef's, its group and kind are required, and have no defaults.
func policyTarget(ref gwv1.LocalPolicyTargetReference, namespace string, kinds []Kind) (target Key, known bool) {
	kind := Kind(ref.Kind)
	if !slices.Contains(kinds, kind) || ref.Group != groupOf(kind) {
		return Key{}, false
	}
	return Key{Kind: kind, Namespace: namespace, Name: string(ref.Name)}, true
}

// ancestor names an object as policies name their ancestors.
func ancestor(group gwv1.Group, kind gwv1.Kind, name types.NamespacedName) gwv1.ParentReference {
	return gwv1.ParentReference{
		Group: &group, Kind: &kind, Namespace: new(gwv1.Namespace(name.Namespace)), Name: gwv1.ObjectName(name.Name),
	}
}

// unknownTarget: TargetNotFound "is used with the Accepted condition when the policy is attached to an invalid target
// resource".
func unknownTarget(ref gwv1.LocalPolicyTargetReference, kinds []Kind) *Problem {
	for _, kind := range kinds {
		if !strings.EqualFold(string(ref.Kind), string(kind)) {
			continue
		}
		if ref.Kind == gwv1.Kind(kind) && ref.Group == groupOf(kind) {
			return nil
		}
		return newProblem(gwv1.PolicyReasonTargetNotFound, "kind %s is not supported; a %s has the group %q and the kind %s",
			groupKind(ref.Group, ref.Kind), kind, groupOf(kind), kind)
	}
	return newProblem(gwv1.PolicyReasonTargetNotFound, "kind %s is not supported; target a %s", groupKind(ref.Group, ref.Kind), joinKinds(kinds))
}

func joinKinds(kinds []Kind) string {
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = string(kind)
	}
	return strings.Join(names, " or an ")
}

// missingTarget is unknownTarget for a target that doesn't exist, or for a Service of a type that nothing is forwarded to.
func (g *Graph) missingTarget(target Key) *Problem {
	if g.Object(target) == nil {
		return newProblem(gwv1.PolicyReasonTargetNotFound, "%s does not exist", target)
	}
	if target.Kind != KindService {
		return nil
	}
	if p := externalName(target, g.services[target.NamespacedName()]); p != nil {
		return newProblem(gwv1.PolicyReasonTargetNotFound, "%s", p.Message)
	}
	return nil
}

// comparePolicies puts the policy that wins a conflict first: "the spec (policy resource) with the oldest creation
// timestamp MUST be considered the established spec and that spec beats all challenger specs", and then "the one
// appearing first in alphabetical order by {namespace}/{name}" (GEP-713).
func comparePolicies(a, b metav1.Object) int {
	return compareAge(a, b)
}
