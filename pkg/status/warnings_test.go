package status_test

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

func TestGatewayClassWarnings(t *testing.T) {
	t.Parallel()
	equal(t, "a good class", status.GatewayClassWarnings(&graph.GatewayClassFacts{Managed: true}), []string(nil))
	equal(t, "a bad class", status.GatewayClassWarnings(&graph.GatewayClassFacts{
		Managed: true, Unaccepted: problem("InvalidParameters", "m"),
	}), []string{"the GatewayClass is not accepted (InvalidParameters): m"})
}

func TestGatewayWarnings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		gateway  graph.GatewayFacts
		listener graph.ListenerFacts
		want     []string
	}{
		{"everything is well", graph.GatewayFacts{}, graph.ListenerFacts{}, nil},
		{
			"not accepted, which explains why it isn't programmed",
			graph.GatewayFacts{Unaccepted: problem("UnsupportedAddress", "m"), Unprogrammed: problem("Invalid", "m")}, graph.ListenerFacts{},
			[]string{"the Gateway is not accepted (UnsupportedAddress): m"},
		},
		{
			"not programmed", graph.GatewayFacts{Unprogrammed: problem("AddressNotUsable", "m")}, graph.ListenerFacts{},
			[]string{"the Gateway is not programmed (AddressNotUsable): m"},
		},
		{
			"a reference of the Gateway", graph.GatewayFacts{Unresolved: problem("RefNotPermitted", "m")}, graph.ListenerFacts{},
			[]string{"the Gateway has a reference that is not resolved (RefNotPermitted): m"},
		},
		{
			"a listener is not accepted", graph.GatewayFacts{SomeListenersInvalid: problem("ListenersNotValid", "m")},
			graph.ListenerFacts{Unaccepted: problem("PortUnavailable", "m"), Unprogrammed: problem("Invalid", "m")},
			[]string{`listener "l" is not accepted (PortUnavailable): m`},
		},
		{
			"a listener's reference", graph.GatewayFacts{Unresolved: problem("ListenersNotResolved", "m")},
			graph.ListenerFacts{Unresolved: problem("InvalidCertificateRef", "m"), Unprogrammed: problem("Invalid", "m")},
			[]string{`listener "l" has a reference that is not resolved (InvalidCertificateRef): m`},
		},
		{
			"a listener is not programmed", graph.GatewayFacts{}, graph.ListenerFacts{Unprogrammed: problem("Pending", "m")},
			[]string{`listener "l" is not programmed (Pending): m`},
		},
		{"overlapping hostnames are fine", graph.GatewayFacts{}, graph.ListenerFacts{Overlapping: problem("OverlappingHostnames", "m")}, nil},
		{
			"clients are not authenticated", graph.GatewayFacts{InsecureFrontend: problem("ConfigurationChanged", "m")}, graph.ListenerFacts{},
			[]string{"clients are not authenticated (ConfigurationChanged): m"},
		},
		{"no effect", graph.GatewayFacts{Warnings: []string{"a", "a", "b"}}, graph.ListenerFacts{}, []string{"a", "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.listener.Spec = &gwv1.Listener{Name: "l"}
			tt.gateway.Managed, tt.gateway.Listeners = true, []*graph.ListenerFacts{&tt.listener}
			equal(t, "warnings", status.GatewayWarnings(&tt.gateway), tt.want)
		})
	}
}

func mirroring(message string) graph.FilterFacts {
	return graph.FilterFacts{Mirrors: []graph.MirrorFacts{{BackendFacts: graph.BackendFacts{Problem: problem("BackendNotFound", message)}}}}
}

func authorizing(message string) graph.FilterFacts {
	return graph.FilterFacts{ExternalAuth: &graph.ExternalAuthFacts{BackendFacts: graph.BackendFacts{Problem: problem("BackendNotFound", message)}}}
}

func TestRouteWarnings(t *testing.T) {
	t.Parallel()
	unmanaged := graph.ParentFacts{Ref: ref("other"), Gateway: &types.NamespacedName{Namespace: "default", Name: "other"}}
	missing := unmanaged
	missing.Missing = true
	missingService := graph.ParentFacts{Ref: ref("s"), Missing: true, Service: &types.NamespacedName{Namespace: "default", Name: "s"}}
	mesh := graph.ParentFacts{Ref: ref("s"), Managed: true, Service: &types.NamespacedName{Namespace: "default", Name: "s"}}
	missingKind := graph.ParentFacts{Ref: gwv1.ParentReference{Kind: new(gwv1.Kind("Mesh")), Name: "m"}, Missing: true}
	backends := []graph.RuleFacts{
		{Backends: []graph.BackendFacts{{}, {Problem: problem("BackendNotFound", "foo")}}},
		{Backends: []graph.BackendFacts{{Problem: problem("RefNotPermitted", "bar")}, {Problem: problem("RefNotPermitted", "bar")}}},
	}
	tests := []struct {
		name    string
		parents []graph.ParentFacts
		rules   []graph.RuleFacts
		noted   []string
		want    []string
	}{
		{"everything is well", []graph.ParentFacts{parent(ref("g"))}, []graph.RuleFacts{{Backends: []graph.BackendFacts{{}}}}, nil, nil},
		{"no parents", nil, nil, nil, []string{"spec.parentRefs is empty: the route is attached to nothing and serves no requests"}},
		{
			"parents that do not exist", []graph.ParentFacts{missing, missingService, missingKind}, nil, nil,
			[]string{
				"spec.parentRefs[0]: Gateway default/other does not exist; the route is attached as soon as it does",
				"spec.parentRefs[1]: Service default/s does not exist; the route is attached as soon as it does",
				"spec.parentRefs[2]: Mesh m does not exist; the route is attached as soon as it does",
			},
		},
		{
			"parents that do not accept it",
			[]graph.ParentFacts{parent(ref("g")), refused(ref("h"), "NoMatchingParent"), unmanaged}, nil, nil,
			[]string{"spec.parentRefs[1]: not accepted by Gateway default/h (NoMatchingParent): says the parent"},
		},
		{
			"backends", []graph.ParentFacts{parent(ref("g"))}, backends, nil,
			[]string{
				"a backend is not resolved, its share of the requests is answered with 500 (BackendNotFound): foo",
				"a backend is not resolved, its share of the requests is answered with 500 (RefNotPermitted): bar",
			},
		},
		{
			"rules and mirrors", []graph.ParentFacts{parent(ref("g"))},
			[]graph.RuleFacts{
				{Dropped: problem("UnsupportedValue", "a")},
				{Failing: problem("IncompatibleFilters", "b")},
				{FilterFacts: mirroring("c")},
				{Backends: []graph.BackendFacts{{Filters: mirroring("d")}}},
				{FilterFacts: authorizing("e")},
			}, nil,
			[]string{
				"a rule is not served (UnsupportedValue): a",
				"a rule answers every request with 500 (IncompatibleFilters): b",
				"a mirror is left out (BackendNotFound): c",
				"a mirror is left out (BackendNotFound): d",
				"an authorization server is not resolved, the requests that it would authorize are answered with 500 (BackendNotFound): e",
			},
		},
		{
			"accepted nowhere, so that nothing is answered", []graph.ParentFacts{refused(ref("h"), "NoMatchingParent")},
			append([]graph.RuleFacts{
				{Failing: problem("IncompatibleFilters", "b")}, {NeedsProxy: problem("UnsupportedValue", "c")},
			}, backends[0]), nil,
			[]string{
				"spec.parentRefs[0]: not accepted by Gateway default/h (NoMatchingParent): says the parent",
				"a rule cannot be served (IncompatibleFilters): b",
				"a backend is not resolved (BackendNotFound): foo",
			},
		},
		{
			"a rule that proxyless clients can't execute", []graph.ParentFacts{mesh},
			[]graph.RuleFacts{{}, {NeedsProxy: problem("UnsupportedValue", "a")}}, nil,
			[]string{"a rule fails every call of a proxyless gRPC client (UnsupportedValue): a"},
		},
		{
			"for mesh clients only", []graph.ParentFacts{mesh},
			append([]graph.RuleFacts{{Failing: problem("UnsupportedValue", "a")}}, backends[0]), nil,
			[]string{
				"a rule answers every request with 500 (UnsupportedValue): a",
				"a backend is not resolved, its share of the requests is answered with 500 (BackendNotFound): foo",
			},
		},
		{
			"for mesh clients and others", []graph.ParentFacts{mesh, parent(ref("g"))}, backends[:1], nil,
			[]string{"a backend is not resolved, its share of the requests is answered with 500 (BackendNotFound): foo"},
		},
		{
			"what is wrong for Gateways, and not for the mesh", []graph.ParentFacts{mesh}, nil, nil, nil,
		},
		{"for others only", []graph.ParentFacts{unmanaged}, backends, []string{"spec.x has no effect"}, nil},
		{"no effect", []graph.ParentFacts{parent(ref("g"))}, nil, []string{"spec.x has no effect"}, []string{"spec.x has no effect"}},
		{
			"control characters", []graph.ParentFacts{parent(ref("g"))},
			[]graph.RuleFacts{{Dropped: problem("UnsupportedValue", "error parsing regexp: `a\n\x00(`")}}, nil,
			[]string{"a rule is not served (UnsupportedValue): error parsing regexp: `a  (`"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := route(tt.parents...)
			f.Rules, f.Warnings = tt.rules, tt.noted
			if slices.ContainsFunc(tt.parents, func(p graph.ParentFacts) bool { return p.Service != nil }) {
				f.MeshRules = append([]graph.RuleFacts{}, tt.rules...)
			}
			if len(tt.parents) == 1 && tt.parents[0].Service != nil {
				f.Rules = backends // as Gateways would see them
			}
			equal(t, "warnings", status.RouteWarnings(f), tt.want)
		})
	}
}

// TestLostShare: what becomes of what is meant for a backend that isn't resolved.
func TestLostShare(t *testing.T) {
	t.Parallel()
	for kind, want := range map[graph.Kind]string{
		graph.KindHTTPRoute: "requests is answered with 500",
		graph.KindGRPCRoute: "calls fails with UNAVAILABLE",
		graph.KindTLSRoute:  "connections is closed",
		graph.KindTCPRoute:  "connections is closed",
		graph.KindUDPRoute:  "packets is dropped",
	} {
		got := status.RouteWarnings(&graph.RouteFacts{
			Key: graph.Key{Kind: kind}, Parents: []graph.ParentFacts{parent(ref("g"))},
			Rules: []graph.RuleFacts{{Backends: []graph.BackendFacts{{Problem: problem("BackendNotFound", "foo")}}}},
		})
		if want := []string{"a backend is not resolved, its share of the " + want + " (BackendNotFound): foo"}; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
	}
}
