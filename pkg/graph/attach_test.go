package graph

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func TestAttach(t *testing.T) {
	t.Parallel()
	const listeners = `
  - {name: http, port: 80, protocol: HTTP}
  - {name: wild, port: 80, protocol: HTTP, hostname: "*.example.com"}
  - {name: alt, port: 8080, protocol: HTTP, hostname: alt.example.com}
`
	attached := func(pairs ...any) []Attachment {
		var a []Attachment
		for i := 0; i < len(pairs); i += 2 {
			a = append(a, Attachment{ListenerKey{key(KindGateway, "infra/gw"), gwv1.SectionName(pairs[i].(string))}, name("infra/gw"), pairs[i+1].([]string)})
		}
		return a
	}
	type hosts = []string
	tests := []struct {
		name, listeners, namespace, spec string
		unaccepted                       string
		attachments                      []Attachment
	}{
		{name: "to every listener", listeners: listeners, spec: "parentRefs: [{name: gw, namespace: infra}]",
			attachments: attached("http", hosts{"*"}, "wild", hosts{"*.example.com"}, "alt", hosts{"alt.example.com"})},
		{name: "by hostname", listeners: listeners, spec: "hostnames: [a.example.com, '*.example.com', a.example.org]\n  parentRefs: [{name: gw, namespace: infra}]",
			attachments: attached("http", hosts{"a.example.com", "*.example.com", "a.example.org"},
				"wild", hosts{"a.example.com", "*.example.com"}, "alt", hosts{"alt.example.com"})},
		{name: "by a hostname in capitals", listeners: listeners, spec: "hostnames: [Alt.example.com]\n  parentRefs: [{name: gw, namespace: infra, port: 8080}]",
			attachments: attached("alt", hosts{"alt.example.com"})},
		{name: "hostnames that fall together", listeners: listeners, spec: "hostnames: [alt.example.com, '*.example.com']\n  parentRefs: [{name: gw, namespace: infra, port: 8080}]",
			attachments: attached("alt", hosts{"alt.example.com"})},
		{name: "by section", listeners: listeners, spec: "parentRefs: [{name: gw, namespace: infra, sectionName: wild}]",
			attachments: attached("wild", hosts{"*.example.com"})},
		{name: "by port", listeners: listeners, spec: "parentRefs: [{name: gw, namespace: infra, port: 80}]",
			attachments: attached("http", hosts{"*"}, "wild", hosts{"*.example.com"})},
		{name: "by section and port", listeners: listeners, spec: "parentRefs: [{name: gw, namespace: infra, sectionName: http, port: 80}]",
			attachments: attached("http", hosts{"*"})},
		{name: "no such section", listeners: listeners, spec: "parentRefs: [{name: gw, namespace: infra, sectionName: none}]", unaccepted: "NoMatchingParent"},
		{name: "no such port", listeners: listeners, spec: "parentRefs: [{name: gw, namespace: infra, port: 81}]", unaccepted: "NoMatchingParent"},
		{name: "section and port of two listeners", listeners: listeners, spec: "parentRefs: [{name: gw, namespace: infra, sectionName: alt, port: 80}]",
			unaccepted: "NoMatchingParent"},
		{name: "no such hostname", listeners: listeners, spec: "hostnames: [example.com]\n  parentRefs: [{name: gw, namespace: infra, sectionName: wild}]",
			unaccepted: "NoMatchingListenerHostname"},

		{name: "same namespace by default", listeners: "\n  - {name: a, port: 80, protocol: HTTP, allowedRoutes: {}}",
			namespace: "infra", spec: "parentRefs: [{name: gw}]", attachments: attached("a", hosts{"*"})},
		{name: "another namespace by default", listeners: "\n  - {name: a, port: 80, protocol: HTTP, allowedRoutes: {}}",
			spec: "parentRefs: [{name: gw, namespace: infra}]", unaccepted: "NotAllowedByListeners"},
		{name: "the same namespace", listeners: "\n  - {name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Same}}}",
			namespace: "infra", spec: "parentRefs: [{name: gw}]", attachments: attached("a", hosts{"*"})},
		{name: "selected", listeners: "\n  - {name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: a}}}}}",
			spec: "parentRefs: [{name: gw, namespace: infra}]", attachments: attached("a", hosts{"*"})},
		{name: "not selected", listeners: "\n  - {name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: b}}}}}",
			spec: "parentRefs: [{name: gw, namespace: infra}]", unaccepted: "NotAllowedByListeners"},
		{name: "a namespace that doesn't exist is not selected", listeners: "\n  - {name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {}}}}",
			namespace: "gone", spec: "parentRefs: [{name: gw, namespace: infra}]", unaccepted: "NotAllowedByListeners"},
		{name: "no namespace", listeners: "\n  - {name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: None}}}",
			namespace: "infra", spec: "parentRefs: [{name: gw}]", unaccepted: "NotAllowedByListeners"},
		{name: "another kind", listeners: "\n  - {name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}, kinds: [{kind: GRPCRoute}]}}",
			spec: "parentRefs: [{name: gw, namespace: infra}]", unaccepted: "NotAllowedByListeners"},
		{name: "a listener of an unsupported protocol", listeners: "\n  - {name: a, port: 80, protocol: example.com/QUIC, allowedRoutes: {namespaces: {from: All}}}",
			spec: "parentRefs: [{name: gw, namespace: infra}]", unaccepted: "NotAllowedByListeners"},
		{name: "a listener that isn't served", listeners: "\n  - {name: a, port: 443, protocol: HTTPS, allowedRoutes: {namespaces: {from: All}}}",
			spec: "parentRefs: [{name: gw, namespace: infra}]", attachments: attached("a", hosts{"*"})},

		{name: "the section before what it allows", listeners: "\n  - {name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: None}}}",
			spec: "parentRefs: [{name: gw, namespace: infra, sectionName: b}]", unaccepted: "NoMatchingParent"},
		{name: "what is allowed before the hostname", listeners: "\n  - {name: a, port: 80, protocol: HTTP, hostname: a.example.com, allowedRoutes: {namespaces: {from: None}}}",
			spec: "hostnames: [b.example.com]\n  parentRefs: [{name: gw, namespace: infra}]", unaccepted: "NotAllowedByListeners"},
		{name: "the parent before the rules", listeners: listeners,
			spec: "parentRefs: [{name: gw, namespace: infra, port: 81}]\n  rules: [{filters: [{type: ExtensionRef}]}]", unaccepted: "NoMatchingParent"},
		{name: "no rule valid", listeners: listeners,
			spec: "parentRefs: [{name: gw, namespace: infra}]\n  rules: [{filters: [{type: ExtensionRef}]}]", unaccepted: "UnsupportedValue"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.listeners == listeners {
				test.listeners = allowAll(listeners)
			}
			if test.namespace == "" {
				test.namespace = "app"
			}
			g := graphOf(t, ourClass, "kind: Namespace\nmetadata: {name: app, labels: {team: a}}",
				"kind: Gateway\nmetadata: {name: gw, namespace: infra}\nspec:\n  gatewayClassName: ours\n  listeners:"+test.listeners,
				"kind: HTTPRoute\nmetadata: {name: r, namespace: "+test.namespace+"}\nspec:\n  "+test.spec)
			f := g.Route(key(KindHTTPRoute, test.namespace+"/r"))
			p := f.Parents[0]
			if !p.Managed || p.Missing || *p.Gateway != name("infra/gw") {
				t.Errorf("parent: %+v", p)
			}
			if reason(p.Unaccepted) != test.unaccepted {
				t.Errorf("Unaccepted: %+v, want %q", p.Unaccepted, test.unaccepted)
			}
			if diff := cmp.Diff(test.attachments, p.Attachments); diff != "" {
				t.Errorf("Attachments (-want +got):\n%s", diff)
			}
			gw := g.Gateway(name("infra/gw"))
			for i, l := range gw.Listeners {
				want := int32(0)
				for _, a := range p.Attachments {
					if a.Listener == l.Key {
						want = 1
					}
				}
				if gw.AttachedRoutes[i] != want {
					t.Errorf("AttachedRoutes of %s: %d, want %d", l.Spec.Name, gw.AttachedRoutes[i], want)
				}
			}
		})
	}
}

func TestParents(t *testing.T) {
	t.Parallel()
	g := graphOf(t, ourClass, `
kind: GatewayClass
metadata: {name: theirs}
spec: {controllerName: example.com/other}
---
kind: Gateway
metadata: {name: theirs}
spec: {gatewayClassName: theirs, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
kind: Gateway
metadata: {name: classless}
spec: {gatewayClassName: none, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
kind: HTTPRoute
metadata: {name: r}
spec:
  parentRefs: [{name: theirs}, {name: classless}, {name: none}, {kind: ListenerSet, name: l}, {kind: Other, name: o}, {group: "", kind: Service, name: none}]
  rules: [{}]
`)
	type want struct {
		Managed, Missing bool
		Unaccepted       string
	}
	wants := []want{{}, {}, {Missing: true, Unaccepted: "NoMatchingParent"}, {Missing: true, Unaccepted: "NoMatchingParent"}, {}, {Missing: true, Unaccepted: "NoMatchingParent"}}
	for i, p := range g.Route(key(KindHTTPRoute, "default/r")).Parents {
		if got := (want{p.Managed, p.Missing, reason(p.Unaccepted)}); got != wants[i] {
			t.Errorf("parentRefs[%d]: %+v, want %+v", i, got, wants[i])
		}
	}
}

// allowAll lets the listeners of a manifest allow routes from every namespace.
func allowAll(listeners string) string {
	return strings.ReplaceAll(listeners, "}\n", ", allowedRoutes: {namespaces: {from: All}}}\n")
}

// TestAttachWhileGatewaysAreLookedAt: a new Gateway may give or take addresses of others of its fleet, which are looked at before
// it, and their routes with them.
func TestAttachWhileGatewaysAreLookedAt(t *testing.T) {
	t.Parallel()
	gateway := func(name string, year int) string {
		return fmt.Sprintf(`
kind: Gateway
metadata: {name: %s, creationTimestamp: %d-01-01T00:00:00Z}
spec:
  gatewayClassName: ours
  infrastructure: {parametersRef: {group: gateway-apiserver.dev, kind: EnvoyFleet, name: f}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
`, name, year)
	}
	g := graphOf(t, ourClass, "kind: EnvoyFleet\nmetadata: {name: f}\nspec: {addresses: {pool: [10.0.0.1]}}", gateway("a", 2021), `
kind: HTTPRoute
metadata: {name: r}
spec: {parentRefs: [{name: a}, {name: b}], rules: [{}]}
`)
	apply(t, g, gateway("b", 2020))
	for i, p := range g.Route(key(KindHTTPRoute, "default/r")).Parents {
		if len(p.Attachments) != 1 {
			t.Errorf("parentRefs[%d]: %+v", i, p)
		}
	}
}
