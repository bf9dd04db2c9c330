package translate

import (
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	corev1 "k8s.io/api/core/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

func TestRetryPolicy(t *testing.T) {
	t.Parallel()
	const connectionErrors = "retryOn: 'connect-failure,reset'"
	const codes = "retryOn: 'connect-failure,reset,retriable-status-codes'"
	for _, tt := range []struct{ name, rule, envoy, mesh string }{
		{"none", `{}`, ``, ``},
		{"a timeout alone", `{timeouts: {backendRequest: 1s}}`, `{numRetries: 0, perTryTimeout: 1s}`, ``},
		{"no timeout of a try", `{timeouts: {request: 1s, backendRequest: 0s}}`, ``, ``},
		{"nothing set", `{retry: {}}`, `{` + connectionErrors + `, numRetries: 1}`, `{retryOn: unavailable, numRetries: 1}`},
		{
			"everything set", `{retry: {codes: [500, 502, 503, 504], attempts: 3, backoff: 500ms}}`,
			`{` + codes + `, retriableStatusCodes: [500, 502, 503, 504], numRetries: 3, retryBackOff: {baseInterval: 0.5s}}`,
			`{retryOn: unavailable, numRetries: 3, retryBackOff: {baseInterval: 0.5s}}`,
		},
		{
			"with timeouts", `{retry: {attempts: 2}, timeouts: {request: 10s, backendRequest: 1s}}`,
			`{` + connectionErrors + `, numRetries: 2, perTryTimeout: 1s}`, `{retryOn: unavailable, numRetries: 2}`,
		},
		{"no retries", `{retry: {codes: [500], attempts: 0}}`, `{` + codes + `, retriableStatusCodes: [500], numRetries: 0}`, ``},
		{
			"no backoff", `{retry: {backoff: 0s}}`,
			`{` + connectionErrors + `, numRetries: 1, retryBackOff: {baseInterval: 0.001s}}`,
			`{retryOn: unavailable, numRetries: 1, retryBackOff: {baseInterval: 0.001s}}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			route := httpRoute(t, "r", `{rules: [{backendRefs: [{name: a, port: 80}]}]}`)
			parse(t, tt.rule, &route.HTTP.Spec.Rules[0])
			vh, _ := translated(t, virtualHost("*", route))
			expectRetries(t, vh.Routes[0], tt.envoy)
			config, _ := meshHost(t, &graph.MeshHostFacts{Key: service("a", 80), Routes: []*graph.RouteFacts{route}})
			expectRetries(t, config.VirtualHosts[0].Routes[0], tt.mesh)
		})
	}
}

func expectRetries(t *testing.T, route *routev3.Route, want string) {
	t.Helper()
	var got []*routev3.RetryPolicy
	if p := route.GetRoute().RetryPolicy; p != nil {
		got = append(got, p)
	}
	expect(t, got, "["+want+"]")
}

func TestRetryBudget(t *testing.T) {
	t.Parallel()
	facts := &graph.BackendPortFacts{
		Key: service("a", 80), Port: &corev1.ServicePort{Port: 80},
		RetryBudget: &graph.RetryBudgetFacts{Percent: 25, Interval: 10 * time.Second, MinConcurrency: 3},
	}
	got := Cluster(ClusterKey{BackendKey: facts.Key}, facts)
	validate(t, got)
	expect(t, []*clusterv3.CircuitBreakers{got.CircuitBreakers},
		`[{thresholds: [{retryBudget: {budgetPercent: {value: 25}, budgetInterval: 10s, minRetryConcurrency: 3}}]}]`)
}
