package graph

import "testing"

func TestPermitted(t *testing.T) {
	t.Parallel()
	const routes = "{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: app}"
	tests := []struct {
		name, from, to string
		want           bool
	}{
		{"every Service", routes, "{group: '', kind: Service}", true},
		{"every Service, by an empty name", routes, "{group: '', kind: Service, name: ''}", true},
		{"the Service", routes, "{group: '', kind: Service, name: s}", true},
		{"another Service", routes, "{group: '', kind: Service, name: other}", false},
		{"another kind", routes, "{group: '', kind: Secret}", false},
		{"another group", routes, "{group: example.com, kind: Service}", false},
		{"from another kind", "{group: gateway.networking.k8s.io, kind: GRPCRoute, namespace: app}", "{group: '', kind: Service}", false},
		{"from another group", "{group: example.com, kind: HTTPRoute, namespace: app}", "{group: '', kind: Service}", false},
		{"from another namespace", "{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: other}", "{group: '', kind: Service}", false},
		{"one of several", "{group: gateway.networking.k8s.io, kind: Gateway, namespace: app}, " + routes,
			"{group: '', kind: Secret}, {group: '', kind: Service}", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			manifest := "kind: ReferenceGrant\nmetadata: {name: g, namespace: backends}\nspec: {from: [" + test.from + "], to: [" + test.to + "]}"
			g := graphOf(t, manifest)
			target := key(KindService, "backends/s")
			if got := g.permitted(KindHTTPRoute, "app", target); got != test.want {
				t.Errorf("permitted: %v, want %v", got, test.want)
			}
			if g.permitted(KindHTTPRoute, "app", key(KindService, "elsewhere/s")) {
				t.Error("the grant reaches beyond its namespace")
			}
			if !g.permitted(KindHTTPRoute, "backends", target) {
				t.Error("within a namespace, no grant is needed")
			}
			g.Delete(key(KindReferenceGrant, "backends/g"))
			if g.permitted(KindHTTPRoute, "app", target) {
				t.Error("the grant's permission outlives it")
			}
		})
	}
}

func TestGrantsAddUp(t *testing.T) {
	t.Parallel()
	const spec = `
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: app}]
  to: [{group: "", kind: Service}]
`
	g := graphOf(t, "kind: ReferenceGrant\nmetadata: {name: a, namespace: backends}"+spec,
		"kind: ReferenceGrant\nmetadata: {name: b, namespace: backends}"+spec)
	g.Delete(key(KindReferenceGrant, "backends/a"))
	if !g.permitted(KindHTTPRoute, "app", key(KindService, "backends/s")) {
		t.Error("the second grant's permission went with the first")
	}
}
