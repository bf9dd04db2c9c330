package app

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
)

func nodeFixtures(now time.Time) []fleetv1alpha1.EnvoyNode {
	return []fleetv1alpha1.EnvoyNode{
		{Status: fleetv1alpha1.EnvoyNodeStatus{
			NodeID: "edge-1", Cluster: "edge", Scope: "gateway/shop/web", Version: "1.36.2", Protocol: "delta", Replica: "a", Current: true,
			ConnectedSince: metav1.NewMicroTime(now.Add(-3 * time.Hour)), Identity: "spiffe://gateway-apiserver.dev/gateway/shop/web",
			Acknowledged: []fleetv1alpha1.AcknowledgedResources{{Type: "clusters", Version: "12"}, {Type: "routes", Version: "ab"}},
		}},
		{Status: fleetv1alpha1.EnvoyNodeStatus{
			NodeID: "edge-2\x1b[31m", Scope: "fleet/infra/edge", Protocol: "sotw", Replica: "b", Rejections: 2,
			ConnectedSince: metav1.NewMicroTime(now.Add(-5 * time.Second)),
			Rejected:       []fleetv1alpha1.RejectedResource{{Type: "routes", Name: "web:80", Version: "ab", Message: "no\tidea\n"}},
		}},
		{Status: fleetv1alpha1.EnvoyNodeStatus{NodeID: "grpc", Scope: "mesh", ConnectedSince: metav1.NewMicroTime(now)}},
	}
}

func TestNodeRows(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, test := range map[string]struct {
		rows, want [][]string
	}{
		"narrow": {nodeRows(nodeFixtures(now), false, now), [][]string{
			{"NODE", "SERVES", "VERSION", "STATE", "SINCE", "IDENTITY"},
			{"edge-1", "gateway/shop/web", "1.36.2", "current", "3h", "spiffe://gateway-apiserver.dev/gateway/shop/web"},
			{`edge-2\x1b[31m`, "fleet/infra/edge", "-", "rejecting (2)", "5s", "-"},
			{"grpc", "mesh", "-", "pending", "0s", "-"},
		}},
		"wide": {nodeRows(nodeFixtures(now), true, now)[1:2], [][]string{
			{"edge-1", "gateway/shop/web", "1.36.2", "current", "3h", "spiffe://gateway-apiserver.dev/gateway/shop/web", "edge", "delta", "a", "clusters=12,routes=ab"},
		}},
		"rejected": {rejectedRows(nodeFixtures(now)), [][]string{
			{"NODE", "SERVES", "TYPE", "NAME", "VERSION", "MESSAGE"},
			{`edge-2\x1b[31m`, "fleet/infra/edge", "routes", "web:80", "ab", `no\tidea\n`},
			{`edge-2\x1b[31m`, "fleet/infra/edge", "-", "-", "-", "and 1 more"},
		}},
	} {
		if diff := cmp.Diff(test.want, test.rows); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPrintNodes(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := printNodes(&out, nodeFixtures(time.Unix(1_000_000, 0).UTC())[2:], "yaml"); err != nil {
		t.Fatal(err)
	}
	want := `apiVersion: v1
items:
- metadata: {}
  status:
    connectedSince: "1970-01-12T13:46:40.000000Z"
    current: false
    nodeID: grpc
    rejections: 0
    scope: mesh
kind: List
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
