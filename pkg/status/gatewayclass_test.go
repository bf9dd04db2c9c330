package status_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

func TestGatewayClass(t *testing.T) {
	t.Parallel()
	const (
		accepted = "Accepted=True Accepted: Gateways of this class are served by gateway-apiserver.dev/controller"
		version  = "SupportedVersion=True SupportedVersion: The API is served from the compiled-in Gateway API bundle v1.6.3"
	)
	tests := []struct {
		name  string
		facts graph.GatewayClassFacts
		old   []metav1.Condition
		want  []string
	}{
		{"accepted", graph.GatewayClassFacts{Managed: true}, pending("Accepted"), []string{accepted, version}},
		{"without a status", graph.GatewayClassFacts{Managed: true}, nil, []string{accepted, version}},
		{
			"InvalidParameters", graph.GatewayClassFacts{Managed: true, Unaccepted: problem("InvalidParameters", "no such kind")},
			pending("Accepted"), []string{"Accepted=False InvalidParameters: no such kind", version},
		},
		{
			"foreign condition", graph.GatewayClassFacts{Managed: true},
			append([]metav1.Condition{foreign("example.com/Seen")}, pending("Accepted")...),
			[]string{"example.com/Seen=True Seeded: by somebody else", accepted, version},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := status.GatewayClass(&tt.facts, gwv1.GatewayClassStatus{Conditions: tt.old}, 1, now)
			equal(t, "conditions", text(got.Conditions), tt.want)
			equal(t, "supportedFeatures", got.SupportedFeatures, status.SupportedFeatures(&graph.GatewayClassFacts{}))
		})
	}
}

func TestGatewayClassUnmanaged(t *testing.T) {
	t.Parallel()
	old := gwv1.GatewayClassStatus{
		Conditions:        pending("Accepted"),
		SupportedFeatures: []gwv1.SupportedFeature{{Name: "Theirs"}},
	}
	got := status.GatewayClass(&graph.GatewayClassFacts{Unaccepted: problem("InvalidParameters", "")}, old, 7, now)
	equal(t, "status", got, old)
}
