package graph

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// PolicyAncestorFacts is what is true of a policy for one of its ancestors.
type PolicyAncestorFacts struct {
	Ref gwv1.ParentReference
	// Unaccepted: TargetNotFound, Conflicted, Invalid; of a BackendTLSPolicy also NoValidCACertificate.
	Unaccepted *Problem
}

// targetsService says whether a targetRef is of a kind that a policy can be attached to here. Unlike a backendRef's, its
// group and kind are required, and have no defaults.
func targetsService(ref gwv1.LocalPolicyTargetReference) bool {
	return ref.Group == corev1.GroupName && ref.Kind == gwv1.Kind(KindService)
}

// ancestor names an object as policies name their ancestors.
func ancestor(group gwv1.Group, kind gwv1.Kind, name types.NamespacedName) gwv1.ParentReference {
	return gwv1.ParentReference{
		Group: &group, Kind: &kind, Namespace: new(gwv1.Namespace(name.Namespace)), Name: gwv1.ObjectName(name.Name),
	}
}

// unknownTarget: TargetNotFound "is used with the Accepted condition when the policy is attached to an invalid target
// resource".
func unknownTarget(ref gwv1.LocalPolicyTargetReference) *Problem {
	if targetsService(ref) {
		return nil
	}
	hint := "target a Service"
	if strings.EqualFold(string(ref.Kind), string(KindService)) {
		hint = `a Service has the group "" and the kind Service`
	}
	return newProblem(gwv1.PolicyReasonTargetNotFound, "kind %s is not supported; %s", groupKind(ref.Group, ref.Kind), hint)
}

// missingTarget is unknownTarget for a Service that doesn't exist, or is of a type that nothing is forwarded to.
func missingTarget(name types.NamespacedName, service *corev1.Service) *Problem {
	key := Key{Kind: KindService, Namespace: name.Namespace, Name: name.Name}
	if service == nil {
		return newProblem(gwv1.PolicyReasonTargetNotFound, "%s does not exist", key)
	}
	if p := externalName(key, service); p != nil {
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
