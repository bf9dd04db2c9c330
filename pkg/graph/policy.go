package graph

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// PolicyTargetFacts is what is true between a policy and one of its targetRefs.
type PolicyTargetFacts struct {
	Ref gwv1.LocalPolicyTargetReference
	// Service is the target, missing or not; nil if the target is of a kind that isn't supported.
	Service *types.NamespacedName
	// Ancestors are the Gateways of ours that forward requests to the Service, sorted; or else the target itself.
	Ancestors []gwv1.ParentReference
	// Unaccepted: TargetNotFound, Conflicted, Invalid.
	Unaccepted *Problem
}

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

// policyTarget resolves a targetRef of a policy in a namespace. If the target exists, it is for the kind of the policy to
// say whether it is accepted there.
func (g *Graph) policyTarget(namespace string, ref gwv1.LocalPolicyTargetReference) PolicyTargetFacts {
	name := types.NamespacedName{Namespace: namespace, Name: string(ref.Name)}
	f := PolicyTargetFacts{Ref: ref, Unaccepted: unknownTarget(ref)}
	if f.Unaccepted == nil {
		f.Service, f.Unaccepted = &name, missingTarget(name, g.services[name])
		for _, gateway := range g.gatewaysUsing(name, func(int32) bool { return true }) {
			f.Ancestors = append(f.Ancestors, ancestor(gwv1.GroupName, gwv1.Kind(KindGateway), gateway))
		}
	}
	if len(f.Ancestors) == 0 {
		f.Ancestors = []gwv1.ParentReference{ancestor(ref.Group, ref.Kind, name)}
	}
	return f
}

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

// policyAncestors sums up by ancestor what is true of a policy's targets: "Ancestors refer to objects that are either the
// Target of a policy or above it in terms of object hierarchy. ... we recommend that implementations SHOULD use Gateway
// as the PolicyAncestorStatus object." An ancestor accepts a policy if one of the targets does.
func policyAncestors(targets []PolicyTargetFacts) []PolicyAncestorFacts {
	var ancestors []PolicyAncestorFacts
	for i := range targets {
		for _, ref := range targets[i].Ancestors {
			j := slices.IndexFunc(ancestors, func(a PolicyAncestorFacts) bool { return reflect.DeepEqual(a.Ref, ref) })
			if j < 0 {
				ancestors = append(ancestors, PolicyAncestorFacts{ref, targets[i].Unaccepted})
			} else if targets[i].Unaccepted == nil {
				ancestors[j].Unaccepted = nil
			}
		}
	}
	return ancestors
}

// comparePolicies puts the policy that wins a conflict first: "the spec (policy resource) with the oldest creation
// timestamp MUST be considered the established spec and that spec beats all challenger specs", and then "the one
// appearing first in alphabetical order by {namespace}/{name}" (GEP-713).
func comparePolicies(a, b metav1.Object) int {
	return cmp.Or(
		a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time),
		compareAlphabetically(Key{Namespace: a.GetNamespace(), Name: a.GetName()}, Key{Namespace: b.GetNamespace(), Name: b.GetName()}),
	)
}
