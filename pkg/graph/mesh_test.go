package graph

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
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
		{"consumer", "other", "{name: color, namespace: faces, port: 81}", "", []int32{81}},
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
			want := []MeshHostKey{{BackendKey: ServiceBackend(name("faces/color"), 80)}, {BackendKey: ServiceBackend(name("faces/color"), 81)}}
			if test.namespace != "faces" {
				want = append(want, MeshHostKey{want[1].BackendKey, test.namespace})
			}
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
				if g.MeshHost(MeshHostKey{BackendKey: key}) != nil || g.BackendPort(key) != nil {
					t.Errorf("%s is there", key)
				}
			}
		})
	}
}

// TestNeedsProxy: what proxyless clients execute is less than what sidecars do, and the parents say so.
func TestNeedsProxy(t *testing.T) {
	t.Parallel()
	const (
		header  = `filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}]}}]`
		mirror  = `filters: [{type: RequestMirror, requestMirror: {backendRef: {name: s, port: 80}}}]`
		refused = " cannot be executed by proxyless gRPC clients"
	)
	own := func(weight string) string {
		return `backendRefs: [{name: s, port: 80, weight: ` + weight + `, ` + header + `}]`
	}
	tests := []struct {
		name, kind, rules string
		unaccepted        string // messages
		needsProxy        string
		warnings          []string
	}{
		{name: "no filters", kind: "HTTPRoute", rules: `{}`},
		{name: "a filter", kind: "HTTPRoute", rules: `{` + header + `}`,
			needsProxy: "spec.rules[0].filters[0]: RequestHeaderModifier" + refused},
		{name: "a filter of a GRPCRoute", kind: "GRPCRoute", rules: `{name: named, ` + header + `}`,
			needsProxy: `rule "named" filters[0]: RequestHeaderModifier` + refused},
		{name: "a redirect", kind: "HTTPRoute", rules: `{filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]}`,
			needsProxy: "spec.rules[0].filters[0]: RequestRedirect" + refused},
		{name: "a rewrite", kind: "HTTPRoute", rules: `{filters: [{type: URLRewrite, urlRewrite: {hostname: a}}]}`,
			needsProxy: "spec.rules[0].filters[0]: URLRewrite" + refused},
		{name: "a backend's filter", kind: "HTTPRoute", rules: `{` + own("1") + `}`,
			needsProxy: "spec.rules[0].backendRefs[0].filters[0]: RequestHeaderModifier" + refused},
		{name: "a backend's filter in a GRPCRoute", kind: "GRPCRoute", rules: `{` + own("1") + `}`,
			needsProxy: "spec.rules[0].backendRefs[0].filters[0]: RequestHeaderModifier" + refused},
		{name: "filters of backends without requests", kind: "HTTPRoute", rules: `{` + own("0") + `}`},
		{name: "filters of a GRPCRoute's backends without requests", kind: "GRPCRoute", rules: `{` + own("0") + `}`},
		{name: "some rules", kind: "HTTPRoute", rules: `{}, {` + header + `}`,
			needsProxy: "spec.rules[1].filters[0]: RequestHeaderModifier" + refused},
		{name: "a rule that nobody can execute", kind: "HTTPRoute", rules: `{matches: [{headers: [{type: Odd, name: a, value: b}]}], ` + header + `}`,
			unaccepted: "no rule can be served: spec.rules[0].matches[0].headers[0]: type Odd is not known"},
		{name: "a mirror", kind: "HTTPRoute", rules: `{` + mirror + `}`, warnings: []string{
			"spec.rules[0].filters[0] has no effect for proxyless gRPC clients, which mirror no requests"}},
		{name: "a mirror of a GRPCRoute", kind: "GRPCRoute", rules: `{` + mirror + `}`, warnings: []string{
			"spec.rules[0].filters[0] has no effect for proxyless gRPC clients, which mirror no requests"}},
		{name: "matches that never hold", kind: "HTTPRoute",
			rules: `{matches: [{method: POST}, {method: GET}, {queryParams: [{name: a, value: b}]}]}`, warnings: []string{
				"spec.rules[0].matches[1].method: for proxyless gRPC clients, the match never holds: the method of their requests is POST",
				"spec.rules[0].matches[2].queryParams: for proxyless gRPC clients, the match never holds: their requests have no query parameters"}},
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
			if p := f.Parents[0]; message(p.Unaccepted) != test.unaccepted || message(p.NeedsProxy) != test.needsProxy {
				t.Errorf("Service: Unaccepted %+v, NeedsProxy %+v", p.Unaccepted, p.NeedsProxy)
			} else if p.NeedsProxy != nil && p.NeedsProxy.Reason != "UnsupportedValue" {
				t.Errorf("Service: reason %s", p.NeedsProxy.Reason)
			}
			if p := f.Parents[1]; message(p.Unaccepted) != test.unaccepted || p.NeedsProxy != nil {
				t.Errorf("Gateway: %+v", p)
			}
			for i := range f.Rules {
				if f.Rules[i].NeedsProxy != nil {
					t.Error("to a Gateway, a rule needs a proxy")
				}
			}
			host := MeshHostKey{BackendKey: ServiceBackend(name("default/s"), 80)}
			if governed := len(g.MeshHost(host).Routes) > 0; governed != (test.unaccepted == "") {
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

// TestConsumerRoutes: "Requests from a namespace with consumer routes will utilize the (possibly merged) set of routes in the
// consumer namespace. Requests from other namespaces will utilize the (possibly merged) set of routes in the producer namespace"
// (GEP-1294).
func TestConsumerRoutes(t *testing.T) {
	t.Parallel()
	route := func(namespace, name, ref string) string {
		return `
kind: HTTPRoute
metadata: {name: ` + name + `, namespace: ` + namespace + `}
spec: {parentRefs: [{group: "", kind: Service, namespace: faces, ` + ref + `}], rules: [{}]}
`
	}
	g := graphOf(t, `
kind: Service
metadata: {name: color, namespace: faces}
spec: {ports: [{port: 80}, {port: 81}]}
`, route("faces", "producer", "name: color"), route("shop", "b", "name: color, port: 80"), route("shop", "a", "name: color, port: 80"),
		route("web", "c", "name: color, port: 81"))
	routes := func(port int32, consumer string) []string {
		f := g.MeshHost(MeshHostKey{ServiceBackend(name("faces/color"), port), consumer})
		if f == nil {
			return nil
		}
		var names []string
		for _, r := range f.Routes {
			names = append(names, r.Key.Name)
		}
		return names
	}
	check := func(what string, port int32, consumer string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, routes(port, consumer)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("producer", 80, "", "producer")
	check("consumers of one namespace, merged", 80, "shop", "a", "b")
	check("a namespace whose consumer routes are for another port", 81, "shop")
	check("the other namespace", 81, "web", "c")

	d := g.Delete(key(KindHTTPRoute, "shop/a"))
	if diff := cmp.Diff([]string{"mesh faces/color:80 from shop", "status HTTPRoute shop/a"}, describe(d)); diff != "" {
		t.Errorf("without a (-want +got):\n%s", diff)
	}
	g.Delete(key(KindHTTPRoute, "shop/b"))
	check("without consumer routes", 80, "shop")
	if hosts := g.MeshHosts(); len(hosts) != 3 {
		t.Errorf("hosts %v, want two ports and one with consumer routes", hosts)
	}
}

// TestMeshNeedsNoGrant: "Routes of either type can send traffic to backendRefs in any namespace. Unlike Gateway bound routes, this
// is allowed without a ReferenceGrant" (GEP-1294).
func TestMeshNeedsNoGrant(t *testing.T) {
	t.Parallel()
	g := graphOf(t, ourClass, `
kind: Gateway
metadata: {name: gw, namespace: shop}
spec: {gatewayClassName: ours, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
kind: Service
metadata: {name: color, namespace: faces}
spec: {ports: [{port: 80}]}
---
kind: XBackend
metadata: {name: api, namespace: faces}
spec: {type: ExternalHostname, externalHostname: {hostname: api.example.com}, port: {port: 443}}
---
kind: HTTPRoute
metadata: {name: r, namespace: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: color, namespace: faces}, {name: gw}]
  rules:
  - backendRefs: [{name: color, namespace: faces, port: 80}, {group: gateway.networking.x-k8s.io, kind: XBackend, name: api, namespace: faces}]
`)
	f := g.Route(key(KindHTTPRoute, "shop/r"))
	for _, tt := range []struct {
		what            string
		rules           []RuleFacts
		color, external string
	}{
		{"Gateways", f.Rules, "RefNotPermitted", "RefNotPermitted"},
		{"the mesh", f.MeshRules, "", "RefNotPermitted"},
	} {
		b := tt.rules[0].Backends
		if reason(b[0].Problem) != tt.color || reason(b[1].Problem) != tt.external {
			t.Errorf("for %s: %q and %q, want %q and %q", tt.what, reason(b[0].Problem), reason(b[1].Problem), tt.color, tt.external)
		}
	}
	if gateway := message(f.Parents[1].Unresolved); !strings.Contains(gateway, "backendRefs[0]") {
		t.Errorf("the Gateway's ResolvedRefs: %s", gateway)
	}
	if service := message(f.Parents[0].Unresolved); !strings.Contains(service, "backendRefs[1]") {
		t.Errorf("the Service's ResolvedRefs: %s", service)
	}
	if missing := g.MissingFor(parseOne[*gwv1.HTTPRoute](t, `
kind: HTTPRoute
metadata: {name: other, namespace: shop}
spec: {parentRefs: [{group: "", kind: Service, name: color, namespace: faces}], rules: [{backendRefs: [{name: new, namespace: faces, port: 80}]}]}
`)); !slices.Contains(missing, key(KindService, "faces/new")) {
		t.Errorf("missing %v, want the Service that the mesh needs", missing)
	}
}

// TestKeyForMesh: what an XBackend is shown is told to no sidecar.
func TestKeyForMesh(t *testing.T) {
	t.Parallel()
	g := graphOf(t, `
kind: Service
metadata: {name: s}
spec: {ports: [{port: 80}]}
---
kind: XBackend
metadata: {name: api}
spec:
  type: ExternalHostname
  externalHostname: {hostname: api.example.com}
  port: {port: 443}
  tls: {mode: ClientAndServer, clientCertificateRef: {name: c}}
---
kind: HTTPRoute
metadata: {name: r}
spec: {parentRefs: [{group: "", kind: Service, name: s}], rules: [{backendRefs: [{group: gateway.networking.x-k8s.io, kind: XBackend, name: api}]}]}
`)
	g.Apply(tlsSecret("default/c", keyPairs().a))
	f := g.Route(key(KindHTTPRoute, "default/r"))
	if p := f.Rules[0].Backends[0].Problem; p != nil {
		t.Errorf("for Gateways: %+v", p)
	}
	if p := f.MeshRules[0].Backends[0].Problem; reason(p) != ReasonInvalidBackend {
		t.Errorf("for the mesh: %+v", p)
	}
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
