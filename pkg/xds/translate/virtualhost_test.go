package translate

import (
	"slices"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

func TestVirtualHost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		spec     string // of an HTTPRoute
		grpc     string // of a GRPCRoute
		routes   string
		clusters []string
	}{
		{
			name:     "one backend, no timeouts: none at all, not Envoy's 15 seconds",
			spec:     `{rules: [{backendRefs: [{name: a, port: 8080}]}]}`,
			routes:   `[{match: {prefix: /}, route: {cluster: "ns/a:8080", timeout: 0s}}]`,
			clusters: []string{"ns/a:8080"},
		},
		{
			name: "weights; a weight of zero is no backend",
			spec: `{rules: [{backendRefs: [{name: b, port: 80, weight: 3}, {name: a, port: 80}, {name: c, port: 80, weight: 0}]}]}`,
			routes: `[{match: {prefix: /}, route: {timeout: 0s, weightedClusters: {clusters: [
				{name: "ns/b:80", weight: 3}, {name: "ns/a:80", weight: 1}]}}}]`,
			clusters: []string{"ns/a:80", "ns/b:80"},
		},
		{
			name: "the share of an invalid backend gets 500",
			spec: `{rules: [{backendRefs: [{name: a, port: 80, weight: 3}, {name: missing, port: 80}]}]}`,
			routes: `[{match: {prefix: /}, route: {timeout: 0s, clusterNotFoundResponseCode: INTERNAL_SERVER_ERROR, weightedClusters: {clusters: [
				{name: "ns/a:80", weight: 3}, {name: unresolved-backend, weight: 1}]}}}]`,
			clusters: []string{"ns/a:80"},
		},
		{
			name: "no backend, only invalid ones, and no weight: 500",
			spec: `{rules: [
				{matches: [{path: {value: /ccc}}]},
				{matches: [{path: {value: /bb}}], backendRefs: [{name: missing, port: 80}]},
				{matches: [{path: {value: /a}}], backendRefs: [{name: a, port: 80, weight: 0}]}]}`,
			routes: `[
				{match: {pathSeparatedPrefix: /ccc}, directResponse: {status: 500}},
				{match: {pathSeparatedPrefix: /bb}, directResponse: {status: 500}},
				{match: {pathSeparatedPrefix: /a}, directResponse: {status: 500}}]`,
		},
		{
			name:     "an h2c backend is one cluster for both kinds of route",
			spec:     `{rules: [{backendRefs: [{name: h2c, port: 80}]}]}`,
			grpc:     `{rules: [{backendRefs: [{name: h2c, port: 80}, {name: a, port: 80}]}]}`,
			clusters: []string{"ns/a:80/http2", "ns/h2c:80"},
			routes: `[
				{match: {prefix: /, grpc: {}}, route: {timeout: 0s, idleTimeout: 0s, weightedClusters: {clusters: [
					{name: "ns/h2c:80", weight: 1}, {name: "ns/a:80/http2", weight: 1}]}}},
				{match: {prefix: /}, route: {timeout: 0s, cluster: "ns/h2c:80"}}]`,
		},
		{
			name:     "a WebSocket backend may be upgraded to, and stay silent",
			spec:     `{rules: [{backendRefs: [{name: a, port: 80}, {name: ws, port: 80}]}]}`,
			clusters: []string{"ns/a:80", "ns/ws:80"},
			routes: `[{match: {prefix: /}, route: {timeout: 0s, idleTimeout: 0s, upgradeConfigs: [{upgradeType: websocket}],
				weightedClusters: {clusters: [{name: "ns/a:80", weight: 1}, {name: "ns/ws:80", weight: 1}]}}}]`,
		},
		{
			name: "gRPC: UNAVAILABLE, by Envoy's translation of 503",
			grpc: `{rules: [
				{matches: [{method: {service: foo.Bar}}], backendRefs: [{name: missing, port: 80}]},
				{backendRefs: [{name: missing, port: 80}, {name: a, port: 80}]}]}`,
			clusters: []string{"ns/a:80/http2"},
			routes: `[
				{match: {prefix: /foo.Bar/, grpc: {}}, directResponse: {status: 503}},
				{match: {prefix: /, grpc: {}}, route: {timeout: 0s, idleTimeout: 0s, weightedClusters: {clusters: [
					{name: "ns/a:80/http2", weight: 1}, {name: unresolved-backend, weight: 1}]}}}]`,
		},
		{
			name: "headers of the rule",
			spec: `{rules: [{backendRefs: [{name: a, port: 80}], filters: [
				{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: 100%}], add: [{name: x-add, value: v}], remove: [X-Remove]}},
				{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-set, value: w}], remove: [x-remove]}}]}]}`,
			clusters: []string{"ns/a:80"},
			routes: `[{match: {prefix: /}, route: {timeout: 0s, cluster: "ns/a:80"},
				requestHeadersToAdd: [
					{header: {key: x-set, value: 100%%}, appendAction: OVERWRITE_IF_EXISTS_OR_ADD},
					{header: {key: x-add, value: v}}],
				requestHeadersToRemove: [x-remove],
				responseHeadersToAdd: [{header: {key: x-set, value: w}, appendAction: OVERWRITE_IF_EXISTS_OR_ADD}],
				responseHeadersToRemove: [x-remove]}]`,
		},
		{
			name: "headers of a backend, after those of the rule",
			spec: `{rules: [{
				filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-a, value: rule}, {name: x-b, value: rule}]}}],
				backendRefs: [
					{name: a, port: 80, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-A, value: backend}, {name: Host, value: a.test}]}}]},
					{name: b, port: 80}]}]}`,
			clusters: []string{"ns/a:80", "ns/b:80"},
			routes: `[{match: {prefix: /}, route: {timeout: 0s, weightedClusters: {clusters: [
				{name: "ns/a:80", weight: 1, hostRewriteLiteral: a.test, requestHeadersToAdd: [
					{header: {key: x-b, value: rule}, appendAction: OVERWRITE_IF_EXISTS_OR_ADD},
					{header: {key: x-a, value: backend}, appendAction: OVERWRITE_IF_EXISTS_OR_ADD}]},
				{name: "ns/b:80", weight: 1, requestHeadersToAdd: [
					{header: {key: x-a, value: rule}, appendAction: OVERWRITE_IF_EXISTS_OR_ADD},
					{header: {key: x-b, value: rule}, appendAction: OVERWRITE_IF_EXISTS_OR_ADD}]}]}}}]`,
		},
		{
			name: "a header that Envoy can't send fails its rule, not the virtual host",
			spec: `{rules: [{backendRefs: [{name: a, port: 80}], filters: [
				{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x, value: "a\nb"}]}}]}]}`,
			routes: `[{match: {prefix: /}, directResponse: {status: 500}}]`,
		},
		{
			name: "a match that Envoy refuses and no request could fulfil is left out",
			spec: `{rules: [{matches: [{path: {type: RegularExpression, value: ""}}]}]}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var routes []*graph.RouteFacts
			if tt.spec != "" {
				routes = append(routes, httpRoute(t, "h", tt.spec))
			}
			if tt.grpc != "" {
				routes = append(routes, grpcRoute(t, "g", tt.grpc))
			}
			vh, clusters := translated(t, virtualHost("*", routes...))
			expect(t, vh.Routes, tt.routes, protocmp.IgnoreFields(&routev3.Route{}, "name"))
			if !slices.Equal(clusters, tt.clusters) {
				t.Errorf("clusters %q, want %q", clusters, tt.clusters)
			}
		})
	}
}

func TestVirtualHostWithoutRoutes(t *testing.T) {
	t.Parallel()
	vh, clusters := translated(t, virtualHost("*.example.com"))
	expect(t, []*routev3.VirtualHost{vh}, `[{name: "*.example.com", domains: ["*.example.com"]}]`)
	if len(clusters) != 0 {
		t.Errorf("clusters %q", clusters)
	}
}

func TestDroppedAndFailingRules(t *testing.T) {
	t.Parallel()
	route := httpRoute(t, "h", `{rules: [
		{matches: [{path: {value: /dropped}}], backendRefs: [{name: a, port: 80}]},
		{matches: [{path: {value: /failing}}], backendRefs: [{name: a, port: 80}]},
		{matches: [{path: {value: /ok}}], backendRefs: [{name: b, port: 80}]}]}`)
	route.Rules[0].Dropped = &graph.Problem{Reason: "UnsupportedValue"}
	route.Rules[1].Failing = &graph.Problem{Reason: "UnsupportedValue"}
	vh, clusters := translated(t, virtualHost("*", route))
	expect(t, vh.Routes, `[
		{name: httproute/ns/h/rule/1/match/0, match: {pathSeparatedPrefix: /failing}, directResponse: {status: 500}},
		{name: httproute/ns/h/rule/2/match/0, match: {pathSeparatedPrefix: /ok}, route: {timeout: 0s, cluster: "ns/b:80"}}]`)
	if !slices.Equal(clusters, []string{"ns/b:80"}) {
		t.Errorf("clusters %q", clusters)
	}
}

func TestRouteNames(t *testing.T) {
	t.Parallel()
	h := httpRoute(t, "h", `{rules: [
		{name: center-rule, matches: [{path: {value: /color/center}}]},
		{matches: [{path: {value: /edge}}, {path: {value: /ed}}]}]}`)
	g := grpcRoute(t, "g", `{rules: [{name: named, matches: [{method: {service: a.B}}]}, {}]}`)
	vh, _ := translated(t, virtualHost("*", h, g))
	var got []string
	for _, r := range vh.Routes {
		got = append(got, r.Name)
	}
	want := []string{
		"grpcroute/ns/g/rule/named/match/0", "grpcroute/ns/g/rule/1/match/0",
		"httproute/ns/h/rule/center-rule/match/0", "httproute/ns/h/rule/1/match/0", "httproute/ns/h/rule/1/match/1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMisdirected(t *testing.T) {
	t.Parallel()
	host, clusters := VirtualHost(&graph.VirtualHostFacts{Misdirected: []string{"*", "other.example.com"}})
	validate(t, host)
	if want := []string{"*", "other.example.com"}; !slices.Equal(host.Domains, want) {
		t.Errorf("domains %q, want %q", host.Domains, want)
	}
	if len(host.Routes) != 1 || host.Routes[0].GetDirectResponse().GetStatus() != 421 || clusters != nil {
		t.Errorf("got %v, %v; want every request answered with 421", host, clusters)
	}
}
