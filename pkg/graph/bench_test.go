package graph

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// benchGraph has a Gateway with n routes, each with a hostname and a Service of its own, in 100 namespaces.
func benchGraph(b *testing.B, n int) *Graph {
	g := graphOf(b, ourClass, `
kind: Gateway
metadata: {name: gw, namespace: infra}
spec:
  gatewayClassName: ours
  listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]
`)
	service := parseOne[*corev1.Service](b, "kind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}")
	template := benchTemplate(b)
	for i := range n {
		s := service.DeepCopy()
		s.Namespace, s.Name = fmt.Sprint("ns-", i%100), fmt.Sprint("s-", i)
		g.Apply(s)
		g.Apply(benchRoute(template, i, fmt.Sprint("h-", i, ".example.com")))
	}
	return g
}

func benchTemplate(b *testing.B) *gwv1.HTTPRoute {
	return parseOne[*gwv1.HTTPRoute](b, `
kind: HTTPRoute
metadata: {name: r}
spec:
  hostnames: [h]
  parentRefs: [{name: gw, namespace: infra}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /a}}, {path: {type: Exact, value: /b}}]
    filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}]}}]
    backendRefs: [{name: s, port: 80}]
  - backendRefs: [{name: s, port: 80}]
`)
}

// benchRoute is the i-th route, with another hostname than it may have had.
func benchRoute(template *gwv1.HTTPRoute, i int, hostname string) *gwv1.HTTPRoute {
	r := template.DeepCopy()
	r.Namespace, r.Name = fmt.Sprint("ns-", i%100), fmt.Sprint("r-", i)
	r.Spec.Hostnames[0] = gwv1.Hostname(hostname)
	for j := range r.Spec.Rules {
		r.Spec.Rules[j].BackendRefs[0].Name = gwv1.ObjectName(fmt.Sprint("s-", i))
	}
	return r
}

// BenchmarkApplyRoute is to cost the same whatever the number of routes.
func BenchmarkApplyRoute(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			g := benchGraph(b, n)
			template := benchTemplate(b)
			routes := []*gwv1.HTTPRoute{benchRoute(template, 0, "one.example.com"), benchRoute(template, 0, "two.example.com")}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				g.Apply(routes[i%2])
			}
		})
	}
}

// BenchmarkApplyGateway moves 10,000 routes to another port.
func BenchmarkApplyGateway(b *testing.B) {
	g := benchGraph(b, 10_000)
	gateways := []*gwv1.Gateway{g.Gateway(name("infra/gw")).Object, g.Gateway(name("infra/gw")).Object.DeepCopy()}
	gateways[1].Spec.Listeners[0].Port = 81
	for i := 1; b.Loop(); i++ {
		g.Apply(gateways[i%2])
	}
}
