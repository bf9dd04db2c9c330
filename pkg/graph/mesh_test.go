package graph

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMesh(t *testing.T) {
	t.Parallel()
	const services = `
kind: Service
metadata: {name: color, namespace: faces}
spec: {ports: [{name: http, port: 80}, {name: admin, port: 81, protocol: TCP}, {name: dns, port: 53, protocol: UDP}]}
---
kind: Service
metadata: {name: external, namespace: faces}
spec: {type: ExternalName, externalName: example.com, ports: [{port: 80}]}
`
	tests := []struct {
		name, namespace, ref string
		unaccepted           string
		ports                []int32
	}{
		{"every port", "faces", "{name: color}", "", []int32{80, 81}},
		{"by port", "faces", "{name: color, port: 81}", "", []int32{81}},
		{"by section", "faces", "{name: color, sectionName: http}", "", []int32{80}},
		{"by section and port", "faces", "{name: color, sectionName: http, port: 80}", "", []int32{80}},
		{"section and port of two ports", "faces", "{name: color, sectionName: http, port: 81}", "NoMatchingParent", nil},
		{"no such port", "faces", "{name: color, port: 82}", "NoMatchingParent", nil},
		{"a UDP port", "faces", "{name: color, port: 53}", "NoMatchingParent", nil},
		{"ExternalName", "faces", "{name: external}", "NoMatchingParent", nil},
		{"consumer", "other", "{name: color, namespace: faces}", "NotAllowedByListeners", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, services, `
kind: HTTPRoute
metadata: {name: canary, namespace: `+test.namespace+`}
spec: {parentRefs: [{group: "", kind: Service, `+test.ref[1:]+`], rules: [{}]}
`)
			p := g.Route(key(KindHTTPRoute, test.namespace+"/canary")).Parents[0]
			if !p.Managed || p.Service == nil || reason(p.Unaccepted) != test.unaccepted {
				t.Errorf("parent: %+v, want %q", p, test.unaccepted)
			}
			if diff := cmp.Diff(test.ports, p.ServicePorts); diff != "" {
				t.Errorf("ServicePorts (-want +got):\n%s", diff)
			}
			want := []BackendKey{ServiceBackend(name("faces/color"), 80), ServiceBackend(name("faces/color"), 81)}
			if diff := cmp.Diff(want, g.MeshHosts()); diff != "" {
				t.Errorf("MeshHosts (-want +got):\n%s", diff)
			}
			var governed []int32
			for _, key := range want {
				if len(g.MeshHost(key).Routes) > 0 {
					governed = append(governed, key.Port)
				}
			}
			if diff := cmp.Diff(test.ports, governed); diff != "" {
				t.Errorf("ports with routes (-want +got):\n%s", diff)
			}
			for _, key := range []BackendKey{ServiceBackend(name("faces/color"), 53), ServiceBackend(name("faces/external"), 80), ServiceBackend(name("faces/none"), 80)} {
				if g.MeshHost(key) != nil || g.BackendPort(key) != nil {
					t.Errorf("%s is there", key)
				}
			}
		})
	}
}

// TestNeedsProxy: what is served to mesh clients is less than what is served by Gateways, and the parents say so.
func TestNeedsProxy(t *testing.T) {
	t.Parallel()
	const (
		header  = `filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}]}}]`
		mirror  = `filters: [{type: RequestMirror, requestMirror: {backendRef: {name: s, port: 80}}}]`
		refused = " cannot be executed by proxyless gRPC clients, which are the mesh clients that are served"
		errors  = "; requests that match a rule whose filters can't be applied are answered with an error"
	)
	own := func(weight string) string {
		return `backendRefs: [{name: s, port: 80, weight: ` + weight + `, ` + header + `}]`
	}
	tests := []struct {
		name, kind, rules     string
		unaccepted, partially string // messages
		warnings              []string
	}{
		{name: "no filters", kind: "HTTPRoute", rules: `{}`},
		{name: "a filter", kind: "HTTPRoute", rules: `{` + header + `}`,
			unaccepted: "no rule can be served: spec.rules[0].filters[0]: RequestHeaderModifier" + refused},
		{name: "a filter of a GRPCRoute", kind: "GRPCRoute", rules: `{name: named, ` + header + `}`,
			unaccepted: `no rule can be served: rule "named" filters[0]: RequestHeaderModifier` + refused},
		{name: "a redirect", kind: "HTTPRoute", rules: `{filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]}`,
			unaccepted: "no rule can be served: spec.rules[0].filters[0]: RequestRedirect" + refused},
		{name: "a rewrite", kind: "HTTPRoute", rules: `{filters: [{type: URLRewrite, urlRewrite: {hostname: a}}]}`,
			unaccepted: "no rule can be served: spec.rules[0].filters[0]: URLRewrite" + refused},
		{name: "a backend's filter", kind: "HTTPRoute", rules: `{` + own("1") + `}`,
			unaccepted: "no rule can be served: spec.rules[0].backendRefs[0].filters[0]: RequestHeaderModifier" + refused},
		{name: "a backend's filter in a GRPCRoute", kind: "GRPCRoute", rules: `{` + own("1") + `}`,
			unaccepted: "no rule can be served: spec.rules[0].backendRefs[0].filters[0]: RequestHeaderModifier" + refused},
		{name: "filters of backends without requests", kind: "HTTPRoute", rules: `{` + own("0") + `}`},
		{name: "filters of a GRPCRoute's backends without requests", kind: "GRPCRoute", rules: `{` + own("0") + `}`},
		{name: "some rules", kind: "HTTPRoute", rules: `{}, {` + header + `}`,
			partially: "Dropped Rule: spec.rules[1].filters[0]: RequestHeaderModifier" + refused + errors},
		{name: "with a rule that nobody can execute", kind: "HTTPRoute", rules: `{matches: [{headers: [{type: Odd, name: a, value: b}]}]}, {` + header + `}`,
			unaccepted: "no rule can be served: spec.rules[0].matches[0].headers[0]: type Odd is not known; " +
				"spec.rules[1].filters[0]: RequestHeaderModifier" + refused},
		{name: "a mirror", kind: "HTTPRoute", rules: `{` + mirror + `}`, warnings: []string{
			"spec.rules[0].filters[0] has no effect: for Services as parents, because proxyless gRPC clients mirror no requests"}},
		{name: "a mirror of a GRPCRoute", kind: "GRPCRoute", rules: `{` + mirror + `}`, warnings: []string{
			"spec.rules[0].filters[0] has no effect: for Services as parents, because proxyless gRPC clients mirror no requests"}},
		{name: "matches that never hold", kind: "HTTPRoute",
			rules: `{matches: [{method: POST}, {method: GET}, {queryParams: [{name: a, value: b}]}]}`, warnings: []string{
				"spec.rules[0].matches[1].method: with a Service as parent, the match never holds: the method of gRPC requests is POST",
				"spec.rules[0].matches[2].queryParams: with a Service as parent, the match never holds: gRPC requests have no query parameters"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, ourClass, `
kind: Gateway
metadata: {name: gw}
spec: {gatewayClassName: ours, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
kind: Service
metadata: {name: s}
spec: {ports: [{port: 80}]}
---
kind: `+test.kind+`
metadata: {name: r}
spec: {parentRefs: [{group: "", kind: Service, name: s}, {name: gw}], rules: [`+test.rules+`]}
`)
			f := g.Route(key(Kind(test.kind), "default/r"))
			if p := f.Parents[0]; message(p.Unaccepted) != test.unaccepted || message(p.PartiallyInvalid) != test.partially {
				t.Errorf("Service: Unaccepted %+v, PartiallyInvalid %+v", p.Unaccepted, p.PartiallyInvalid)
			} else if want := firstProblem(p.Unaccepted, p.PartiallyInvalid); want != nil && want.Reason != "UnsupportedValue" {
				t.Errorf("Service: reason %s", want.Reason)
			}
			if p := f.Parents[1]; p.Unaccepted != nil || p.PartiallyInvalid != nil || len(p.Attachments) != 1 {
				t.Errorf("Gateway: %+v", p)
			}
			if governed := len(g.MeshHost(ServiceBackend(name("default/s"), 80)).Routes) > 0; governed != (test.unaccepted == "") {
				t.Errorf("the Service's port has routes: %t", governed)
			}
			if diff := cmp.Diff(test.warnings, f.Warnings); diff != "" {
				t.Errorf("Warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func message(p *Problem) string {
	if p == nil {
		return ""
	}
	return p.Message
}

func TestServicePort(t *testing.T) {
	t.Parallel()
	g := graphOf(t, `
kind: Service
metadata: {name: s}
spec: {ports: [{name: dns-udp, port: 53, protocol: UDP}, {name: dns, port: 53}]}
---
kind: EndpointSlice
metadata: {name: s-b, labels: {kubernetes.io/service-name: s}}
addressType: IPv4
---
kind: EndpointSlice
metadata: {name: s-a, labels: {kubernetes.io/service-name: s}}
addressType: IPv4
---
kind: EndpointSlice
metadata: {name: s-c, namespace: other, labels: {kubernetes.io/service-name: s}}
addressType: IPv4
---
kind: EndpointSlice
metadata: {name: s-d}
addressType: IPv4
`)
	f := g.BackendPort(ServiceBackend(name("default/s"), 53))
	if f.Port.Name != "dns" {
		t.Errorf("port: %s, want dns", f.Port.Name)
	}
	var slices []string
	for _, s := range f.Slices {
		slices = append(slices, s.Namespace+"/"+s.Name)
	}
	if diff := cmp.Diff([]string{"default/s-a", "default/s-b"}, slices); diff != "" {
		t.Errorf("Slices (-want +got):\n%s", diff)
	}
}
