package graph

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// TestDirty holds how little a change dirties; TestHistory holds that it is enough.
func TestDirty(t *testing.T) {
	t.Parallel()
	const base = `
kind: Namespace
metadata: {name: app, labels: {team: a}}
---
kind: Gateway
metadata: {name: gw, namespace: infra}
spec:
  gatewayClassName: ours
  listeners:
  - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}, allowedRoutes: {namespaces: {from: Same}}}
---
kind: Gateway
metadata: {name: selective, namespace: infra}
spec:
  gatewayClassName: ours
  listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: a}}}}}]
---
kind: HTTPRoute
metadata: {name: a, namespace: app}
spec: {hostnames: [a.example.com], parentRefs: [{name: gw, namespace: infra}], rules: [{backendRefs: [{name: s, port: 80}]}]}
---
kind: HTTPRoute
metadata: {name: b, namespace: app}
spec: {hostnames: [b.example.com], parentRefs: [{name: gw, namespace: infra}], rules: [{backendRefs: [{name: s, namespace: backends, port: 80}]}]}
---
kind: HTTPRoute
metadata: {name: c, namespace: app}
spec: {hostnames: [c.example.com], parentRefs: [{name: selective, namespace: infra}], rules: [{}]}
---
kind: GRPCRoute
metadata: {name: mesh, namespace: app}
spec: {parentRefs: [{group: "", kind: Service, name: s, port: 80}], rules: [{backendRefs: [{name: s, port: 81}]}]}
---
kind: Service
metadata: {name: s, namespace: app}
spec: {ports: [{name: p, port: 80}, {name: q, port: 81}]}
---
kind: Service
metadata: {name: s, namespace: backends}
spec: {ports: [{name: p, port: 80}]}
---
kind: EndpointSlice
metadata: {name: s-1, namespace: app, labels: {kubernetes.io/service-name: s}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1]}]
`
	const routeA = `
kind: HTTPRoute
metadata: {name: a, namespace: app}
spec: {hostnames: [%s], parentRefs: [{name: gw, namespace: infra}], rules: [{backendRefs: [{name: s, port: %d}]}]}
`
	tests := []struct {
		name   string
		change func(t *testing.T, g *Graph) Dirty
		want   []string
	}{
		{"a new route", manifest("kind: HTTPRoute\nmetadata: {name: new, namespace: app}\nspec: {hostnames: [a.example.com], parentRefs: [{name: gw, namespace: infra}]}"),
			[]string{"host 80/ a.example.com", "status Gateway infra/gw", "status HTTPRoute app/new"}},
		{"a new hostname", manifest("kind: HTTPRoute\nmetadata: {name: new, namespace: app}\nspec: {hostnames: [new.example.com], parentRefs: [{name: gw, namespace: infra}]}"),
			[]string{"host 80/ new.example.com", "status Gateway infra/gw", "status HTTPRoute app/new"}},
		{"another backend", manifest(fmt.Sprintf(routeA, "a.example.com", 81)), []string{"host 80/ a.example.com", "status HTTPRoute app/a"}},
		{"another hostname", manifest(fmt.Sprintf(routeA, "b.example.com", 80)),
			[]string{"host 80/ a.example.com", "host 80/ b.example.com", "status HTTPRoute app/a"}},
		{"the same route", manifest(fmt.Sprintf(routeA, "a.example.com", 80)), []string{"status HTTPRoute app/a"}},
		{"a route gone", deletion(key(KindHTTPRoute, "app/a")),
			[]string{"host 80/ a.example.com", "status Gateway infra/gw", "status HTTPRoute app/a"}},
		{"what was never there gone", deletion(key(KindHTTPRoute, "app/none")), nil},

		{"a new ReferenceGrant", manifest(`
kind: ReferenceGrant
metadata: {name: g, namespace: backends}
spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: app}], to: [{group: "", kind: Service}]}
`), []string{"host 80/ b.example.com", "status HTTPRoute app/b"}},
		{"a ReferenceGrant for others", manifest(`
kind: ReferenceGrant
metadata: {name: g, namespace: backends}
spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: other}], to: [{group: "", kind: Service}]}
`), nil},
		{"labels of a namespace", manifest("kind: Namespace\nmetadata: {name: app, labels: {team: b}}"),
			[]string{"host 80/ c.example.com", "status Gateway infra/selective", "status HTTPRoute app/c"}},
		{"labels that decide nothing", manifest("kind: Namespace\nmetadata: {name: app, labels: {team: a, more: b}}"), nil},

		{"appProtocol", manifest("kind: Service\nmetadata: {name: s, namespace: app}\nspec: {ports: [{name: p, port: 80}, {name: q, port: 81, appProtocol: grpc}]}"),
			[]string{"backend app/s:80", "backend app/s:81", "mesh app/s:80", "status GRPCRoute app/mesh"}},
		{"a port gone", manifest("kind: Service\nmetadata: {name: s, namespace: app}\nspec: {ports: [{name: q, port: 81}]}"),
			[]string{"backend app/s:80", "backend app/s:81", "host 80/ a.example.com", "mesh app/s:80", "status GRPCRoute app/mesh", "status HTTPRoute app/a"}},
		{"a Service that nobody refers to", manifest("kind: Service\nmetadata: {name: new, namespace: app}\nspec: {ports: [{port: 80}]}"),
			[]string{"backend app/new:80", "mesh app/new:80"}},
		{"endpoints", manifest("kind: EndpointSlice\nmetadata: {name: s-1, namespace: app, labels: {kubernetes.io/service-name: s}}\naddressType: IPv4\nendpoints: [{addresses: [10.0.0.2]}]"),
			[]string{"backend app/s:80", "backend app/s:81"}},
		{"the same endpoints", manifest("kind: EndpointSlice\nmetadata: {name: s-1, namespace: app, labels: {kubernetes.io/service-name: s, more: b}}\naddressType: IPv4\nendpoints: [{addresses: [10.0.0.1]}]"), nil},
		{"endpoints that change Services", manifest("kind: EndpointSlice\nmetadata: {name: s-1, namespace: app, labels: {kubernetes.io/service-name: none}}\naddressType: IPv4\nendpoints: [{addresses: [10.0.0.1]}]"),
			[]string{"backend app/s:80", "backend app/s:81"}},

		{"another certificate", func(_ *testing.T, g *Graph) Dirty { return g.Apply(tlsSecret("infra/c", keyPairs().b)) },
			[]string{"scope Gateway infra/gw", "status Gateway infra/gw"}},
		{"the same certificate", func(_ *testing.T, g *Graph) Dirty { return g.Apply(tlsSecret("infra/c", keyPairs().a)) }, nil},
		{"a certificate gone", deletion(key(KindSecret, "infra/c")),
			[]string{"scope Gateway infra/gw", "host 443/https *", "status Gateway infra/gw"}},
		{"a GatewayClass gone", deletion(key(KindGatewayClass, "/ours")),
			[]string{"scope Gateway infra/gw", "scope Gateway infra/selective", "host 443/https *", "host 80/ *", "host 80/ *", "host 80/ a.example.com",
				"host 80/ b.example.com", "host 80/ c.example.com", "reference Secret infra/c", "status Gateway infra/gw", "status Gateway infra/selective",
				"status GatewayClass ours", "status HTTPRoute app/a", "status HTTPRoute app/b", "status HTTPRoute app/c"}},
		{"a Gateway of another class", manifest("kind: Gateway\nmetadata: {name: other, namespace: infra}\nspec: {gatewayClassName: none, listeners: [{name: http, port: 80, protocol: HTTP}]}"),
			[]string{"status Gateway infra/other"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, ourClass)
			g.Apply(tlsSecret("infra/c", keyPairs().a))
			apply(t, g, base)
			if diff := cmp.Diff(slices.Sorted(slices.Values(test.want)), describe(test.change(t, g))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func manifest(m string) func(*testing.T, *Graph) Dirty {
	return func(t *testing.T, g *Graph) Dirty { return apply(t, g, m) }
}

func deletion(k Key) func(*testing.T, *Graph) Dirty {
	return func(_ *testing.T, g *Graph) Dirty { return g.Delete(k) }
}

// describe lists what is dirty, sorted.
func describe(d Dirty) []string {
	var list []string
	for k := range d.Statuses {
		list = append(list, "status "+k.String())
	}
	for k := range d.Scopes {
		list = append(list, "scope "+k.String())
	}
	for k := range d.VirtualHosts {
		list = append(list, fmt.Sprintf("host %d/%s %s", k.Table.Port, k.Table.Listener, k.Domain))
	}
	for k := range d.MeshHosts {
		list = append(list, "mesh "+k.String())
	}
	if d.Sidecars {
		list = append(list, "sidecars")
	}
	for k := range d.Backends {
		list = append(list, "backend "+k.String())
	}
	for k := range d.References {
		list = append(list, "reference "+k.String())
	}
	slices.Sort(list)
	return list
}

func TestDirtyMerge(t *testing.T) {
	t.Parallel()
	a, b, host := key(KindHTTPRoute, "app/a"), key(KindHTTPRoute, "app/b"), VirtualHostKey{Domain: "a"}
	port := ServiceBackend(name("app/s"), 80)
	var d, first, second Dirty
	first.status(a)
	first.scope(key(KindGateway, "infra/gw"))
	second.status(b)
	second.virtualHost(host)
	second.meshHost(MeshHostKey{port, "web"})
	second.backend(port)
	second.Sidecars = true
	second.reference(key(KindSecret, "infra/c"))
	d.Merge(first)
	d.Merge(second)
	want := []string{"backend app/s:80", "scope Gateway infra/gw", "host 0/ a", "mesh app/s:80 from web", "reference Secret infra/c", "sidecars",
		"status HTTPRoute app/a", "status HTTPRoute app/b"}
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), describe(d)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(first.Statuses) != 1 {
		t.Error("Merge wrote to what it merged")
	}
}

func TestApplyOfAnotherKind(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	New().Apply(&corev1.Pod{})
}

func TestDirtyListeners(t *testing.T) {
	t.Parallel()
	const (
		https = "protocol: HTTPS, tls: {certificateRefs: [{name: c}]}"
		empty = "protocol: HTTPS, tls: {certificateRefs: [{name: c}]}, allowedRoutes: {namespaces: {from: None}}"
		route = "\n---\nkind: HTTPRoute\nmetadata: {name: r}\nspec: {parentRefs: [{name: gw}]}"
	)
	gateway := func(listeners string) string {
		return "kind: Gateway\nmetadata: {name: gw}\nspec: {gatewayClassName: ours, listeners: [" + listeners + "]}"
	}
	tests := []struct {
		name, before, after string
		want                []string
	}{
		{"another name", "{name: a, port: 80, protocol: HTTP}", "{name: b, port: 80, protocol: HTTP}",
			[]string{"scope Gateway default/gw", "status Gateway default/gw", "status HTTPRoute default/r"}},
		{"another protocol", "{name: a, port: 80, protocol: HTTP}", "{name: a, port: 80, " + https + "}",
			[]string{"scope Gateway default/gw", "host 80/ *", "host 80/a *", "reference Secret default/c", "status Gateway default/gw"}},
		{"hostnames swapped", "{name: a, port: 443, hostname: a.b, " + https + "}, {name: b, port: 443, hostname: '*.b', " + https + "}",
			"{name: a, port: 443, hostname: '*.b', " + https + "}, {name: b, port: 443, hostname: a.b, " + https + "}",
			[]string{"scope Gateway default/gw", "host 443/a *.b", "host 443/a a.b", "host 443/b *.b", "host 443/b a.b",
				"status Gateway default/gw", "status HTTPRoute default/r"}},
		{"hostnames swapped, without routes", "{name: a, port: 443, hostname: a.b, " + empty + "}, {name: b, port: 443, hostname: '*.b', " + empty + "}",
			"{name: a, port: 443, hostname: '*.b', " + empty + "}, {name: b, port: 443, hostname: a.b, " + empty + "}",
			[]string{"scope Gateway default/gw", "host 443/a *.b", "host 443/a a.b", "host 443/b *.b", "host 443/b a.b", "status Gateway default/gw"}},
		{"certificates", "{name: a, port: 443, " + https + "}", "{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}, {name: none}]}}",
			[]string{"scope Gateway default/gw", "reference Secret default/none", "status Gateway default/gw"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, ourClass)
			g.Apply(tlsSecret("default/c", keyPairs().a))
			apply(t, g, gateway(test.before)+route)
			if diff := cmp.Diff(slices.Sorted(slices.Values(test.want)), describe(apply(t, g, gateway(test.after)))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			fresh := graphOf(t, ourClass, gateway(test.after)+route)
			fresh.Apply(tlsSecret("default/c", keyPairs().a))
			if diff := cmp.Diff(hosts(fresh, "default/gw"), hosts(g, "default/gw")); diff != "" {
				t.Errorf("built at once (-) and by its history (+), the virtual hosts differ:\n%s", diff)
			}
		})
	}
}
