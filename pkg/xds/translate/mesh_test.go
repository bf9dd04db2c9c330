package translate

import (
	"slices"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// meshHost returns the routes of a mesh host's listeners, which are the same for each, and the names of their clusters.
func meshHost(t testing.TB, m *graph.MeshHostFacts) (*routev3.RouteConfiguration, []string) {
	t.Helper()
	listeners, clusters, empty := MeshListeners(m)
	var config *routev3.RouteConfiguration
	for _, l := range listeners {
		validate(t, l)
		manager := &hcmv3.HttpConnectionManager{}
		if err := l.GetApiListener().GetApiListener().UnmarshalTo(manager); err != nil {
			t.Fatal(err)
		}
		config = manager.GetRouteConfig()
	}
	var names []string
	for _, c := range clusters {
		names = append(names, c.String())
	}
	if empty != nil {
		validate(t, empty.Cluster)
		names = append(names, empty.Cluster.GetEdsClusterConfig().GetServiceName())
	}
	return config, names
}

func TestMeshListenerNames(t *testing.T) {
	t.Parallel()
	listeners, _, _ := MeshListeners(&graph.MeshHostFacts{Key: service("color", 80)})
	var got []string
	for _, l := range listeners {
		got = append(got, l.Name)
	}
	if want := []string{"color.ns:80", "color.ns.svc:80", "color.ns.svc.cluster.local:80"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestMeshListeners(t *testing.T) {
	t.Parallel()
	const a = `backendRefs: [{name: a, port: 80}]`
	for _, tt := range []struct {
		name     string
		http     string
		grpc     string
		routes   string
		clusters []string
	}{
		{
			name:     "without routes, the Service itself",
			routes:   `[{match: {prefix: /}, route: {cluster: "ns/color:80"}}]`,
			clusters: []string{"ns/color:80"},
		},
		{
			name: "weights",
			http: `{rules: [{backendRefs: [{name: color, port: 80, weight: 50}, {name: color2, port: 80, weight: 50}]}]}`,
			routes: `[{match: {prefix: /}, route: {weightedClusters: {clusters: [
				{name: "ns/color:80", weight: 50}, {name: "ns/color2:80", weight: 50}], totalWeight: 100}}}]`,
			clusters: []string{"ns/color:80", "ns/color2:80"},
		},
		{
			name: "GRPCRoutes before HTTPRoutes, and no grpc match; path elements in two matches",
			http: `{rules: [{matches: [{path: {value: /foo.Bar}}], ` + a + `}]}`,
			grpc: `{rules: [{matches: [{method: {service: foo.Bar, method: Do}}], backendRefs: [{name: b, port: 80}]}]}`,
			routes: `[
				{match: {path: /foo.Bar/Do}, route: {cluster: "ns/b:80"}},
				{match: {path: /foo.Bar}, route: {cluster: "ns/a:80"}},
				{match: {prefix: /foo.Bar/}, route: {cluster: "ns/a:80"}}]`,
			clusters: []string{"ns/a:80", "ns/b:80"},
		},
		{
			name: "headers in their old form",
			http: `{rules: [{matches: [{headers: [{name: X-A, value: v}, {name: x-b, type: RegularExpression, value: "[ab]"}]}], ` + a + `}]}`,
			routes: `[{match: {prefix: /, headers: [{name: x-a, exactMatch: v}, {name: x-b, safeRegexMatch: {regex: "[ab]"}}]},
				route: {cluster: "ns/a:80"}}]`,
			clusters: []string{"ns/a:80"},
		},
		{
			name: "alternatives",
			http: `{rules: [{matches: [{path: {type: RegularExpression, value: "/a/.|/b/."}, headers: [{name: x, type: RegularExpression, value: "c|d"}]}], ` + a + `}]}`,
			routes: `[{match: {safeRegex: {regex: "(?:/a/.|/b/.)"}, headers: [{name: x, safeRegexMatch: {regex: "(?:c|d)"}}]},
				route: {cluster: "ns/a:80"}}]`,
			clusters: []string{"ns/a:80"},
		},
		{
			name:     "what no gRPC request is",
			http:     `{rules: [{matches: [{method: GET}, {queryParams: [{name: a, value: b}]}, {method: POST, path: {type: Exact, value: /a/b}}], ` + a + `}]}`,
			routes:   `[{match: {path: /a/b}, route: {cluster: "ns/a:80"}}]`,
			clusters: []string{"ns/a:80"},
		},
		{
			name: "the share of an invalid backend fails",
			http: `{rules: [{backendRefs: [{name: a, port: 80, weight: 2}, {name: missing, port: 80}]}]}`,
			routes: `[{match: {prefix: /}, route: {weightedClusters: {clusters: [
				{name: "ns/a:80", weight: 2}, {name: "ns/color:80/unresolved", weight: 1}], totalWeight: 3}}}]`,
			clusters: []string{"ns/a:80", "ns/color:80/unresolved"},
		},
		{
			name:     "no backends",
			http:     `{rules: [{}]}`,
			routes:   `[{match: {prefix: /}, route: {cluster: "ns/color:80/unresolved"}}]`,
			clusters: []string{"ns/color:80/unresolved"},
		},
		{
			name: "a rule that needs a proxy, and one that doesn't",
			http: `{rules: [
				{` + a + `, matches: [{path: {type: Exact, value: /a/b}}],
					filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}]}}]},
				{` + a + `}]}`,
			routes: `[
				{match: {path: /a/b}, route: {cluster: "ns/color:80/unresolved"}},
				{match: {prefix: /}, route: {cluster: "ns/a:80"}}]`,
			clusters: []string{"ns/a:80", "ns/color:80/unresolved"},
		},
		{
			name:     "mirrors",
			http:     `{rules: [{` + a + `, filters: [{type: RequestMirror, requestMirror: {backendRef: {name: m, port: 80}}}]}]}`,
			routes:   `[{match: {prefix: /}, route: {cluster: "ns/a:80"}}]`,
			clusters: []string{"ns/a:80"},
		},
		{
			name: "the shorter of the timeouts",
			http: `{rules: [
				{matches: [{path: {type: Exact, value: /1/1}}], timeouts: {request: 10s, backendRequest: 2s}, ` + a + `},
				{matches: [{path: {type: Exact, value: /1/2}}], timeouts: {request: 10s, backendRequest: 0s}, ` + a + `},
				{matches: [{path: {type: Exact, value: /1/3}}], timeouts: {request: 0s, backendRequest: 2s}, ` + a + `},
				{matches: [{path: {type: Exact, value: /1/4}}], timeouts: {request: 0s}, ` + a + `}]}`,
			routes: `[
				{match: {path: /1/1}, route: {cluster: "ns/a:80", maxStreamDuration: {maxStreamDuration: 2s}}},
				{match: {path: /1/2}, route: {cluster: "ns/a:80", maxStreamDuration: {maxStreamDuration: 10s}}},
				{match: {path: /1/3}, route: {cluster: "ns/a:80", maxStreamDuration: {maxStreamDuration: 2s}}},
				{match: {path: /1/4}, route: {cluster: "ns/a:80"}}]`,
			clusters: []string{"ns/a:80"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			facts := &graph.MeshHostFacts{Key: service("color", 80)}
			if tt.http != "" {
				facts.Routes = append(facts.Routes, httpRoute(t, "h", tt.http))
			}
			if tt.grpc != "" {
				facts.Routes = append(facts.Routes, grpcRoute(t, "g", tt.grpc))
			}
			config, clusters := meshHost(t, facts)
			expect(t, config.VirtualHosts[0].Routes, tt.routes, protocmp.IgnoreFields(&routev3.Route{}, "name"))
			if !slices.Equal(clusters, tt.clusters) {
				t.Errorf("clusters %q", clusters)
			}
		})
	}
}
