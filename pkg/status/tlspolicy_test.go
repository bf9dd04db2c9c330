package status_test

import (
	"testing"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

// gatewayRef names a Gateway as an ancestor.
func gatewayRef(name gwv1.ObjectName) gwv1.ParentReference {
	r := ref(name)
	r.Namespace = new(gwv1.Namespace("default"))
	return r
}

func serviceRef(name gwv1.ObjectName) gwv1.ParentReference {
	r := gatewayRef(name)
	r.Group, r.Kind = new(gwv1.Group("")), new(gwv1.Kind("Service"))
	return r
}

func TestBackendTLSPolicy(t *testing.T) {
	t.Parallel()
	const mesh = "Calls of proxyless gRPC clients fail, because they cannot be told to use TLS"
	tests := []struct {
		name     string
		facts    graph.BackendTLSPolicyFacts
		want     []string
		warnings []string
	}{
		{
			"a Gateway", graph.BackendTLSPolicyFacts{Ancestors: []graph.PolicyAncestorFacts{{Ref: gatewayRef("g")}}},
			[]string{"Accepted=True Accepted: The Gateway connects to the targets with TLS. " + mesh, resolved}, nil,
		},
		{
			"a target", graph.BackendTLSPolicyFacts{Ancestors: []graph.PolicyAncestorFacts{{Ref: serviceRef("s")}}},
			[]string{"Accepted=True Accepted: In effect as soon as a Gateway or a sidecar forwards requests to it. " + mesh, resolved}, nil,
		},
		{
			"no effect", graph.BackendTLSPolicyFacts{Ancestors: []graph.PolicyAncestorFacts{{Ref: gatewayRef("g")}}, Warnings: []string{"spec.options[a] has no effect"}},
			[]string{"Accepted=True Accepted: The Gateway connects to the targets with TLS. " + mesh + ". spec.options[a] has no effect", resolved},
			[]string{"spec.options[a] has no effect"},
		},
		{
			"some CA certificates", graph.BackendTLSPolicyFacts{Ancestors: []graph.PolicyAncestorFacts{{Ref: gatewayRef("g")}}, Unresolved: problem("InvalidKind", "m")},
			[]string{"Accepted=True Accepted: The Gateway connects to the targets with TLS. " + mesh, "ResolvedRefs=False InvalidKind: m"},
			[]string{"a CA certificate is not resolved (InvalidKind): m"},
		},
		{
			"no CA certificate", graph.BackendTLSPolicyFacts{
				Ancestors: []graph.PolicyAncestorFacts{{Ref: serviceRef("s"), Unaccepted: problem("NoValidCACertificate", "none: m")}}, Unresolved: problem("InvalidKind", "m"),
			},
			[]string{"Accepted=False NoValidCACertificate: none: m", "ResolvedRefs=False InvalidKind: m"},
			[]string{"the policy is not accepted for Service default/s (NoValidCACertificate): none: m", "a CA certificate is not resolved (InvalidKind): m"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := status.BackendTLSPolicy(&tt.facts, gwv1.PolicyStatus{}, 3, now)
			equal(t, "ancestors", len(got.Ancestors), 1)
			equal(t, "reference", got.Ancestors[0].AncestorRef, tt.facts.Ancestors[0].Ref)
			equal(t, "conditions", text(got.Ancestors[0].Conditions), tt.want)
			equal(t, "stamps", stamps(got.Ancestors[0].Conditions), []string{"Accepted 3 04:04", "ResolvedRefs 3 04:04"})
			equal(t, "warnings", status.BackendTLSPolicyWarnings(&tt.facts), tt.warnings)
		})
	}
}

func TestBackendTLSPolicyWithoutRoom(t *testing.T) {
	t.Parallel()
	facts := &graph.BackendTLSPolicyFacts{}
	for i := range 18 {
		facts.Ancestors = append(facts.Ancestors, graph.PolicyAncestorFacts{Ref: gatewayRef(gwv1.ObjectName(rune('a' + i)))})
	}
	equal(t, "ancestors", len(status.BackendTLSPolicy(facts, gwv1.PolicyStatus{}, 1, now).Ancestors), 16)
	equal(t, "warnings", status.BackendTLSPolicyWarnings(facts),
		[]string{"status.ancestors has no room for 2 more Gateways and targets that the policy applies to"})
}
