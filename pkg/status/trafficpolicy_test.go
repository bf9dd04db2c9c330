package status_test

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

func TestBackendTrafficPolicy(t *testing.T) {
	t.Parallel()
	target := func(p *graph.Problem, ancestors ...gwv1.ParentReference) graph.TrafficTargetFacts {
		return graph.TrafficTargetFacts{Ancestors: ancestors, Unaccepted: p}
	}
	missing := problem("TargetNotFound", "spec.targetRefs[1]: m")
	const accepted = "Accepted=True Accepted: "
	tests := []struct {
		name     string
		facts    graph.BackendTrafficPolicyFacts
		want     [][]string // of each ancestor
		warnings []string
	}{
		{
			"a Gateway and a target without any",
			graph.BackendTrafficPolicyFacts{
				Targets:   []graph.TrafficTargetFacts{target(nil, gatewayRef("g")), target(nil, serviceRef("s"))},
				Ancestors: []graph.PolicyAncestorFacts{{Ref: gatewayRef("g")}, {Ref: serviceRef("s")}},
			},
			[][]string{
				{accepted + "In effect for the requests that the Gateway forwards"},
				{accepted + "In effect as soon as a Gateway or a sidecar forwards requests to it; proxyless gRPC clients do without"},
			}, nil,
		},
		{
			"one of a Gateway's targets", graph.BackendTrafficPolicyFacts{
				Targets:   []graph.TrafficTargetFacts{target(nil, gatewayRef("g"), gatewayRef("h")), target(missing, gatewayRef("g"))},
				Ancestors: []graph.PolicyAncestorFacts{{Ref: gatewayRef("g")}, {Ref: gatewayRef("h")}},
				Warnings:  []string{"spec.x has no effect: y"},
			},
			[][]string{
				{accepted + "In effect for the requests that the Gateway forwards. Not for spec.targetRefs[1]: m. spec.x has no effect: y"},
				{accepted + "In effect for the requests that the Gateway forwards. spec.x has no effect: y"},
			}, []string{"the policy is not accepted for a target (TargetNotFound): spec.targetRefs[1]: m", "spec.x has no effect: y"},
		},
		{
			"no target", graph.BackendTrafficPolicyFacts{
				Targets:   []graph.TrafficTargetFacts{target(missing, serviceRef("s")), target(missing, serviceRef("s"))},
				Ancestors: []graph.PolicyAncestorFacts{{Ref: serviceRef("s"), Unaccepted: missing}},
			},
			[][]string{{"Accepted=False TargetNotFound: spec.targetRefs[1]: m"}},
			[]string{"the policy is not accepted for a target (TargetNotFound): spec.targetRefs[1]: m"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := status.BackendTrafficPolicy(&tt.facts, gwv1.PolicyStatus{}, 3, now)
			var conditions [][]string
			for i, a := range got.Ancestors {
				equal(t, "controller", a.ControllerName, graph.ControllerName)
				equal(t, "ancestorRef", a.AncestorRef, tt.facts.Ancestors[i].Ref)
				conditions = append(conditions, text(a.Conditions))
			}
			equal(t, "conditions", conditions, tt.want)
			equal(t, "warnings", status.BackendTrafficPolicyWarnings(&tt.facts), tt.warnings)
			equal(t, "without change", status.BackendTrafficPolicy(&tt.facts, got, 3, later), got)
		})
	}
}

func TestBackendTrafficPolicyWithoutRoom(t *testing.T) {
	t.Parallel()
	facts := &graph.BackendTrafficPolicyFacts{Ancestors: []graph.PolicyAncestorFacts{{Ref: gatewayRef("a")}, {Ref: gatewayRef("b")}}}
	var old gwv1.PolicyStatus
	for i := range 15 {
		old.Ancestors = append(old.Ancestors, gwv1.PolicyAncestorStatus{ControllerName: "example.com/a", AncestorRef: gatewayRef(gwv1.ObjectName(fmt.Sprint("theirs", i)))})
	}
	got := status.BackendTrafficPolicy(facts, old, 1, now)
	equal(t, "number of entries", len(got.Ancestors), 16)
	equal(t, "the last entry", got.Ancestors[15].AncestorRef, gatewayRef("a"))
	equal(t, "without ancestors", status.BackendTrafficPolicy(&graph.BackendTrafficPolicyFacts{}, got, 1, now), old)
	if got := status.BackendTrafficPolicy(&graph.BackendTrafficPolicyFacts{}, gwv1.PolicyStatus{}, 1, now); got.Ancestors == nil {
		t.Error("ancestors is nil, which the schema refuses")
	}

	for range 15 {
		facts.Ancestors = append(facts.Ancestors, graph.PolicyAncestorFacts{Ref: gatewayRef("c")})
	}
	equal(t, "warnings", status.BackendTrafficPolicyWarnings(facts),
		[]string{"status.ancestors has no room for 1 more Gateways and targets that the policy applies to"})
}

func TestRestorePolicy(t *testing.T) {
	t.Parallel()
	entry := func(controller gwv1.GatewayController, ancestor gwv1.ObjectName, reason string) gwv1.PolicyAncestorStatus {
		return gwv1.PolicyAncestorStatus{ControllerName: controller, AncestorRef: gatewayRef(ancestor), Conditions: []metav1.Condition{cond("Accepted", reason)}}
	}
	policy := func(ancestors ...gwv1.PolicyAncestorStatus) gwv1.PolicyStatus {
		return gwv1.PolicyStatus{Ancestors: ancestors}
	}
	const ours, theirs = graph.ControllerName, "example.com/theirs"
	stored := policy(entry(ours, "a", "Ours"), entry(theirs, "t", "Old"), entry(ours, "b", "Ours"))
	equal(t, "left out", status.RestorePolicy(policy(entry(theirs, "t", "New")), stored),
		policy(entry(theirs, "t", "New"), entry(ours, "a", "Ours"), entry(ours, "b", "Ours")))
	equal(t, "forged", status.RestorePolicy(policy(entry(ours, "x", "Forged"), entry(theirs, "t", "New")), policy(entry(theirs, "t", "Old"))),
		policy(entry(theirs, "t", "New")))
}
