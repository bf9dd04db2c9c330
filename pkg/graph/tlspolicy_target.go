package graph

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A tlsTarget is what a targetRef selects: a port of a Service by its name, or with an empty one, all of a Service.
type tlsTarget struct {
	service types.NamespacedName
	section gwv1.SectionName
}

// tlsTargetKinds are the kinds that a BackendTLSPolicy can be attached to: see tlsPolicyNode.
var tlsTargetKinds = []Kind{KindService}

// tlsTargets returns what the targetRefs of a policy select, as far as they are Services.
func tlsTargets(policy *gwv1.BackendTLSPolicy) []tlsTarget {
	var targets []tlsTarget
	for i := range policy.Spec.TargetRefs {
		if ref := &policy.Spec.TargetRefs[i]; targetsService(ref) {
			targets = append(targets, targetOf(policy, ref))
		}
	}
	return targets
}

func targetsService(ref *gwv1.LocalPolicyTargetReferenceWithSectionName) bool {
	return unknownTarget(ref.LocalPolicyTargetReference, tlsTargetKinds) == nil
}

func targetOf(policy *gwv1.BackendTLSPolicy, ref *gwv1.LocalPolicyTargetReferenceWithSectionName) tlsTarget {
	return tlsTarget{types.NamespacedName{Namespace: policy.Namespace, Name: string(ref.Name)}, valueOr(ref.SectionName, "")}
}

func targetServices(policy *gwv1.BackendTLSPolicy) []types.NamespacedName {
	var services []types.NamespacedName
	for _, target := range tlsTargets(policy) {
		services = append(services, target.service)
	}
	return sorted(services, compareNames)
}

// evalTLSPolicy finds what is true of a policy for each of its ancestors: "the Policy attaches to a Service that is used
// as a backend in a HTTPRoute that is itself attached to a Gateway. In this case, the relevant object for status is the
// Gateway" (PolicyAncestorStatus).
//
// "Implementations SHOULD NOT support more than one targetRef at this time", because it isn't settled how status sums them
// up; but they are valid, and must not be served in plaintext. Where several come under one Gateway, it accepts all or says
// why not: what is served without the policy must not look as if it were served by it.
//
// A target that no Gateway forwards to is its own ancestor: "Ancestors refer to objects that are either the Target of a
// policy or above it". "An empty list means the Policy is not relevant for any ancestors", which would leave it unsaid that a
// target or a CA certificate doesn't exist; and the Services are served to mesh clients too, whom a policy concerns.
func (g *Graph) evalTLSPolicy(node *tlsPolicyNode) *BackendTLSPolicyFacts {
	policy := node.object
	f := &BackendTLSPolicyFacts{Object: policy, Unresolved: node.validation.unresolved}
	gateways := map[types.NamespacedName]*Problem{}
	var unused []PolicyAncestorFacts
	for i := range policy.Spec.TargetRefs {
		ref := &policy.Spec.TargetRefs[i]
		problem := g.unusableTarget(node, ref)
		if problem != nil {
			problem = problem.in(fmt.Sprintf("spec.targetRefs[%d]", i))
		}
		problem = firstProblem(problem, node.validation.invalid)
		users := g.gatewaysOfTarget(policy, ref)
		for _, gateway := range users {
			gateways[gateway] = firstProblem(gateways[gateway], problem)
		}
		own := targetAsAncestor(policy, ref)
		listed := func(a PolicyAncestorFacts) bool { return reflect.DeepEqual(a.Ref, own) }
		if len(users) == 0 && !slices.ContainsFunc(unused, listed) {
			unused = append(unused, PolicyAncestorFacts{Ref: own, Unaccepted: problem})
		}
		f.Warnings = append(f.Warnings, g.targetWarnings(policy, i)...)
	}
	for _, gateway := range slices.SortedFunc(maps.Keys(gateways), compareNames) {
		f.Ancestors = append(f.Ancestors, PolicyAncestorFacts{
			Ref: ancestor(gwv1.GroupName, gwv1.Kind(KindGateway), gateway), Unaccepted: gateways[gateway],
		})
	}
	f.Ancestors = append(f.Ancestors, unused...)
	f.Warnings = append(f.Warnings, optionWarnings(policy)...)
	return f
}

// targetAsAncestor names the target of a policy as the policy does.
func targetAsAncestor(policy *gwv1.BackendTLSPolicy, ref *gwv1.LocalPolicyTargetReferenceWithSectionName) gwv1.ParentReference {
	out := ancestor(ref.Group, ref.Kind, types.NamespacedName{Namespace: policy.Namespace, Name: string(ref.Name)})
	if section := valueOr(ref.SectionName, ""); section != "" {
		out.SectionName = &section
	}
	return out
}

func (g *Graph) unusableTarget(node *tlsPolicyNode, ref *gwv1.LocalPolicyTargetReferenceWithSectionName) *Problem {
	if p := firstProblem(securesItself(ref.LocalPolicyTargetReference), unknownTarget(ref.LocalPolicyTargetReference, tlsTargetKinds)); p != nil {
		return p
	}
	target := targetOf(node.object, ref)
	service := g.services[target.service]
	return firstProblem(g.missingTarget(serviceKey(target.service)), missingSection(target, service), targetNotTCP(target, service), g.conflicted(node, target))
}

// securesItself: "Backend resources are explicitly disallowed as targets for BackendTLSPolicy to avoid confusion and conflicts".
func securesItself(ref gwv1.LocalPolicyTargetReference) *Problem {
	if ref.Group != groupOf(KindBackend) || ref.Kind != gwv1.Kind(KindBackend) {
		return nil
	}
	return newProblem(gwv1.PolicyReasonTargetNotFound, "an XBackend says itself, in spec.tls, how it is connected to; target a Service")
}

// missingSection: "If a SectionName is specified, but does not exist on the targeted object, the Policy must fail to
// attach." Of a Service, it is the name of a port.
func missingSection(target tlsTarget, service *corev1.Service) *Problem {
	named := func(p corev1.ServicePort) bool { return p.Name == string(target.section) }
	if service == nil || target.section == "" || slices.ContainsFunc(service.Spec.Ports, named) {
		return nil
	}
	return newProblem(gwv1.PolicyReasonTargetNotFound, "Service %s has no port named %s", target.service, target.section)
}

// targetNotTCP: "If a policy explicitly attaches to a UDP port of a Service (that is, the targetRef has a sectionName
// specifying a single port or the service has only 1 port), the Accepted: False Condition with Reason: Invalid MUST be
// set."
func targetNotTCP(target tlsTarget, service *corev1.Service) *Problem {
	if len(targetPorts(target, service)) > 0 {
		return nil
	}
	return newProblem(gwv1.PolicyReasonInvalid, "the policy applies to TCP ports, and there is none in what it targets of Service %s", target.service)
}

// targetPorts are the TCP ports that a target selects.
func targetPorts(target tlsTarget, service *corev1.Service) []int32 {
	var ports []int32
	for port := range servicePorts(service) {
		if target.section == "" || port.Name == string(target.section) {
			ports = append(ports, port.Port)
		}
	}
	return ports
}

// conflicted: "For any BackendTLSPolicy that does not take precedence, the implementation MUST ensure the Accepted
// Condition is set to status: False, with Reason Conflicted."
func (g *Graph) conflicted(node *tlsPolicyNode, target tlsTarget) *Problem {
	first := g.firstTLSPolicy(target, node)
	if namespacedName(first.object) == namespacedName(node.object) {
		return nil
	}
	return newProblem(gwv1.PolicyReasonConflicted, "%s, which is older or comes first by name, has the same target",
		tlsPolicyKey(namespacedName(first.object)))
}

// gatewaysOfTarget returns the Gateways that forward to what a targetRef selects, be the Service there or not.
func (g *Graph) gatewaysOfTarget(policy *gwv1.BackendTLSPolicy, ref *gwv1.LocalPolicyTargetReferenceWithSectionName) []types.NamespacedName {
	if !targetsService(ref) {
		return nil
	}
	target := targetOf(policy, ref)
	ports := targetPorts(target, g.services[target.service])
	return g.gatewaysUsing(serviceKey(target.service), func(u use) bool {
		return !u.backend.UDP && (target.section == "" || slices.Contains(ports, u.backend.Port))
	})
}

// targetWarnings: "If the policy attaches to a mix of TCP and UDP ports, implementations SHOULD include a warning in the
// Accepted condition message; the policy will only be effective for the TCP ports."
func (g *Graph) targetWarnings(policy *gwv1.BackendTLSPolicy, i int) []string {
	ref := &policy.Spec.TargetRefs[i]
	target := targetOf(policy, ref)
	service := g.services[target.service]
	if !targetsService(ref) || target.section != "" || len(targetPorts(target, service)) == 0 {
		return nil
	}
	var others []string
	for _, port := range service.Spec.Ports {
		if port.Protocol != "" && port.Protocol != corev1.ProtocolTCP {
			others = append(others, fmt.Sprintf("%d/%s", port.Port, port.Protocol))
		}
	}
	if len(others) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("spec.targetRefs[%d] has no effect on the ports of Service %s that are not TCP: %s",
		i, target.service, strings.Join(others, ", "))}
}

// optionWarnings: options are "to enable extended TLS configuration for each implementation", with keys that name whose
// they are. There are none of ours, and those of others are not for us to guess at.
func optionWarnings(policy *gwv1.BackendTLSPolicy) []string {
	var warnings []string
	for _, key := range slices.Sorted(maps.Keys(policy.Spec.Options)) {
		warnings = append(warnings, fmt.Sprintf("spec.options[%s] has no effect: no options are known", key))
	}
	return warnings
}
