package graph

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func defaultGateway(namespaced, scope string) string {
	n := name(namespaced)
	return `
kind: Gateway
metadata: {name: ` + n.Name + `, namespace: ` + n.Namespace + `}
spec:
  gatewayClassName: ours
  defaultScope: ` + scope + `
  listeners: [{name: http, port: 80, protocol: HTTP}]
`
}

func TestDefaultGateways(t *testing.T) {
	t.Parallel()
	g := graphOf(t, ourClass, `
kind: HTTPRoute
metadata: {name: defaulted}
spec: {useDefaultGateways: All}
---
kind: HTTPRoute
metadata: {name: named}
spec: {useDefaultGateways: All, parentRefs: [{name: a, sectionName: http}, {name: c}]}
---
kind: HTTPRoute
metadata: {name: none}
spec: {useDefaultGateways: None}
`)
	expect := func(step string, want map[string][]string, warned bool) {
		t.Helper()
		for route, parents := range want {
			f := g.Route(key(KindHTTPRoute, "default/"+route))
			var got []string
			for _, p := range f.Parents {
				parent := p.Gateway.String()
				if p.Default {
					parent += " by default"
				}
				if p.Unaccepted != nil {
					parent += " " + p.Unaccepted.Reason
				}
				got = append(got, parent)
			}
			if diff := cmp.Diff(parents, got); diff != "" {
				t.Errorf("%s: parents of %s (-want +got):\n%s", step, route, diff)
			}
			if (len(f.Warnings) > 0) != (warned && route != "none") {
				t.Errorf("%s: warnings of %s: %q", step, route, f.Warnings)
			}
		}
	}
	expect("no Gateway", map[string][]string{
		"defaulted": nil, "named": {"default/a NoMatchingParent", "default/c NoMatchingParent"}, "none": nil,
	}, true)

	apply(t, g, defaultGateway("default/b", "All")+"---"+defaultGateway("default/a", "All")+"---"+defaultGateway("other/a", "All")+"---"+defaultGateway("default/c", "None"))
	expect("three default Gateways", map[string][]string{
		"defaulted": {"default/a by default", "default/b by default", "other/a by default NotAllowedByListeners"},
		"named":     {"default/a", "default/c", "default/b by default", "other/a by default NotAllowedByListeners"},
		"none":      nil,
	}, false)
	if gw := g.Gateway(name("default/a")); !gw.IsDefault() || gw.AttachedRoutes[0] != 2 {
		t.Errorf("default %v, routes %d; want 2", gw.IsDefault(), gw.AttachedRoutes)
	}

	apply(t, g, defaultGateway("other/a", "None"))
	g.Delete(key(KindGateway, "default/b"))
	expect("one default Gateway", map[string][]string{
		"defaulted": {"default/a by default"}, "named": {"default/a", "default/c"}, "none": nil,
	}, false)

	apply(t, g, "kind: GatewayClass\nmetadata: {name: ours}\nspec: {controllerName: example.com/other}")
	expect("another controller's", map[string][]string{"defaulted": nil, "named": {"default/a", "default/c"}, "none": nil}, true)
	if g.Gateway(name("default/a")).IsDefault() {
		t.Error("the Gateway of another controller is a default Gateway of ours")
	}
}
