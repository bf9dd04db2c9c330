package lint

import (
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
)

func TestClusters(t *testing.T) {
	t.Parallel()
	endpoint := func(address string) string {
		return `{endpoint: {address: {socketAddress: {address: ` + address + `, portValue: 80}}}}`
	}
	assignment := func(address string) string {
		return `{clusterName: a, endpoints: [{lbEndpoints: [` + endpoint(address) + `]}]}`
	}
	for name, test := range map[string]struct {
		message proto.Message
		text    string
		want    []string
	}{
		"EDS":                {&clusterv3.Cluster{}, `{name: a, type: EDS, edsClusterConfig: {edsConfig: {ads: {}}}}`, []string{}},
		"EDS without source": {&clusterv3.Cluster{}, `{name: a, type: EDS}`, []string{"invalid: .eds_cluster_config: a cluster of type EDS needs an eds_config"}},
		"static":             {&clusterv3.Cluster{}, `{name: a, type: STATIC, loadAssignment: ` + assignment(`"::1"`) + `}`, []string{}},
		"static by name": {
			&clusterv3.Cluster{}, `{name: a, loadAssignment: ` + assignment("localhost") + `}`,
			[]string{`invalid: .load_assignment.endpoints[0].lb_endpoints[0]: malformed IP address: "localhost"`},
		},
		"DNS":                          {&clusterv3.Cluster{}, `{name: a, type: STRICT_DNS, loadAssignment: ` + assignment("localhost") + `}`, []string{}},
		"original destination":         {&clusterv3.Cluster{}, `{name: a, type: ORIGINAL_DST, lbPolicy: CLUSTER_PROVIDED}`, []string{}},
		"original destination at will": {&clusterv3.Cluster{}, `{name: a, type: ORIGINAL_DST}`, []string{"invalid: .lb_policy: ROUND_ROBIN isn't for clusters of type ORIGINAL_DST"}},
		"original destination, fixed": {
			&clusterv3.Cluster{}, `{name: a, type: ORIGINAL_DST, lbPolicy: CLUSTER_PROVIDED, loadAssignment: ` + assignment("10.0.0.1") + `}`,
			[]string{"invalid: .load_assignment: a cluster of type ORIGINAL_DST has none"},
		},
		"nothing provided": {&clusterv3.Cluster{}, `{name: a, type: STATIC, lbPolicy: CLUSTER_PROVIDED}`, []string{"invalid: .lb_policy: CLUSTER_PROVIDED isn't for clusters of type STATIC"}},
		"an extension":     {&clusterv3.Cluster{}, `{name: a, clusterType: {name: a}, lbPolicy: CLUSTER_PROVIDED, loadAssignment: ` + assignment("localhost") + `}`, []string{}},
		"retry budget": {
			&clusterv3.Cluster{}, `{name: a, circuitBreakers: {thresholds: [{maxRetries: 3}, {retryBudget: {}}, {retryBudget: {}, maxRetries: 3}]}}`,
			[]string{"ignored: .circuit_breakers.thresholds[2].max_retries: the retry_budget overrides it"},
		},

		"endpoints":          {&endpointv3.ClusterLoadAssignment{}, `{clusterName: a, endpoints: [{lbEndpoints: [` + endpoint("10.0.0.1") + `, ` + endpoint("10.0.0.2") + `]}]}`, []string{}},
		"an endpoint's name": {&endpointv3.ClusterLoadAssignment{}, assignment("localhost"), []string{`invalid: .endpoints[0].lb_endpoints[0]: malformed IP address: "localhost"`}},
		"an endpoint twice": {
			&endpointv3.ClusterLoadAssignment{}, `{clusterName: a, endpoints: [{lbEndpoints: [` + endpoint("10.0.0.1") + `]}, {lbEndpoints: [` + endpoint("10.0.0.1") + `]}]}`,
			[]string{"ignored: .endpoints[1].lb_endpoints[0]: an earlier endpoint has its address 10.0.0.1:80"},
		},
		"weight of endpoints": {
			&endpointv3.ClusterLoadAssignment{}, `{clusterName: a, endpoints: [{lbEndpoints: [{loadBalancingWeight: 4294967295}, {}]}]}`,
			[]string{"invalid: .endpoints[0]: the sum of the weights exceeds 4294967295"},
		},
		"weight of localities": {
			&endpointv3.ClusterLoadAssignment{}, `{clusterName: a, endpoints: [{loadBalancingWeight: 4294967295}, {loadBalancingWeight: 1, priority: 1}, {loadBalancingWeight: 1}]}`,
			[]string{"invalid: .endpoints[2]: the sum of the weights exceeds 4294967295"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, ofMessage(parse(t, test.message, test.text))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
