package graph

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// openGateway allows ListenerSets of every namespace. It has a listener of its own on port 80.
const openGateway = `
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: ours
  allowedListeners: {namespaces: {from: All}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
`

// setOf is a manifest of a ListenerSet of openGateway, created at a second of the epoch.
func setOf(namespaced string, second int, listeners string) string {
	n := name(namespaced)
	return fmt.Sprintf(`
kind: ListenerSet
metadata: {name: %s, namespace: %s, creationTimestamp: "1970-01-01T00:00:%02dZ"}
spec:
  parentRef: {name: gw, namespace: default}
  listeners: [%s]
`, n.Name, n.Namespace, second, listeners)
}

func TestAllowedListeners(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, allowed string
		same, other   bool // what of the two namespaces is allowed
		warnings      int
	}{
		{"by default", "", false, false, 0},
		{"nothing said", "allowedListeners: {}", false, false, 0},
		{"None", "allowedListeners: {namespaces: {from: None}}", false, false, 0},
		{"Same", "allowedListeners: {namespaces: {from: Same}}", true, false, 0},
		{"All", "allowedListeners: {namespaces: {from: All}}", true, true, 0},
		{"Selector", "allowedListeners: {namespaces: {from: Selector, selector: {matchLabels: {team: a}}}}", false, true, 0},
		{"Selector of all", "allowedListeners: {namespaces: {from: Selector, selector: {}}}", false, true, 0}, // default has no Namespace here
		{"no selector", "allowedListeners: {namespaces: {from: Selector}}", false, false, 1},
		{"no such operator", "allowedListeners: {namespaces: {from: Selector, selector: {matchExpressions: [{key: a, operator: Like}]}}}", false, false, 1},
		{"a selector without effect", "allowedListeners: {namespaces: {from: Same, selector: {matchLabels: {team: a}}}}", true, false, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, ourClass, "kind: Namespace\nmetadata: {name: other, labels: {team: a}}", `
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: ours
  `+test.allowed+`
  listeners: [{name: http, port: 80, protocol: HTTP}]
`, setOf("default/set", 0, "{name: a, port: 81, protocol: HTTP}"), setOf("other/set", 0, "{name: a, port: 82, protocol: HTTP}"))
			want := int32(0)
			for namespaced, allowed := range map[string]bool{"default/set": test.same, "other/set": test.other} {
				f := g.ListenerSet(name(namespaced))
				wantReason := "NotAllowed"
				if allowed {
					wantReason = ""
					want++
				}
				if reason(f.Unaccepted) != wantReason || reason(f.Unprogrammed) != wantReason || (len(f.Listeners) > 0) != allowed {
					t.Errorf("%s: unaccepted %+v, unprogrammed %+v, %d listeners; want %q", namespaced, f.Unaccepted, f.Unprogrammed, len(f.Listeners), wantReason)
				}
			}
			gw := g.Gateway(name("default/gw"))
			if gw.AttachedListenerSets != want || len(gw.Listeners) != int(want)+1 || len(gw.Warnings) != test.warnings {
				t.Errorf("%d ListenerSets, %d listeners, warnings %q; want %d, %d and %d warnings",
					gw.AttachedListenerSets, len(gw.Listeners), gw.Warnings, want, want+1, test.warnings)
			}
		})
	}
}

// TestListenerSetPrecedence: the Gateway, the oldest, the order of the alphabet, in which the slash counts.
func TestListenerSetPrecedence(t *testing.T) {
	t.Parallel()
	const same = "{name: same, port: 81, protocol: HTTP}"
	sets := []string{ // as they come
		setOf("team/a", 5, same), setOf("team-a/x", 5, same), setOf("team/z", 4, same), setOf("team/b", 5, same),
	}
	order := []string{"team/z", "team-a/x", "team/a", "team/b"}
	g := graphOf(t, append([]string{ourClass, openGateway}, sets...)...)
	for len(order) > 0 {
		var parents []string
		for _, l := range g.Gateway(name("default/gw")).Listeners[1:] {
			parents = append(parents, l.Key.Parent.NamespacedName().String())
		}
		if diff := cmp.Diff(order, parents); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
		for i, namespaced := range order {
			want := ""
			if i > 0 {
				want = "HostnameConflict"
			}
			l := g.ListenerSet(name(namespaced)).Listeners[0]
			if reason(l.Conflict) != want || reason(l.Unaccepted) != want || reason(l.Unprogrammed) != want {
				t.Errorf("%s: conflict %+v, unaccepted %+v, unprogrammed %+v; want %q", namespaced, l.Conflict, l.Unaccepted, l.Unprogrammed, want)
			}
			if i > 0 && !strings.Contains(l.Conflict.Message, " in ListenerSet "+order[0]+";") {
				t.Errorf("%s: %s; want the one that comes first named", namespaced, l.Conflict.Message)
			}
		}
		g.Delete(key(KindListenerSet, order[0]))
		order = order[1:]
	}
}

func TestListenerSet(t *testing.T) {
	t.Parallel()
	type want struct {
		Unaccepted, SomeListenersInvalid, Unprogrammed string
		Listeners                                      []string // why not programmed
		Gateway                                        string   // Unaccepted
		Count                                          int32
	}
	const (
		gw      = "gatewayClassName: ours, allowedListeners: {namespaces: {from: All}}, "
		http    = "listeners: [{name: http, port: 80, protocol: HTTP}]"
		other   = "listeners: [{name: other, port: 9, protocol: example.com/other}]"
		without = "{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: none}]}}"
	)
	tests := []struct {
		name, gateway, listeners string
		want                     want
	}{
		{"valid", gw + http, "{name: a, port: 81, protocol: HTTP}", want{Listeners: []string{""}, Count: 1}},
		{"the name of another one", gw + http, "{name: http, port: 81, protocol: HTTP}", want{Listeners: []string{""}, Count: 1}},
		{
			"in conflict with the Gateway", gw + http, "{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: TCP}, {name: c, port: 81, protocol: HTTP}",
			want{SomeListenersInvalid: "ListenersNotValid", Listeners: []string{"HostnameConflict", "ProtocolConflict", ""}, Count: 1},
		},
		{
			"nothing but conflicts", gw + http, "{name: a, port: 80, protocol: HTTP}",
			want{Unaccepted: "ListenersNotValid", Unprogrammed: "ListenersNotValid", Listeners: []string{"HostnameConflict"}},
		},
		{
			"conflicts among themselves", gw + http, "{name: a, port: 81, protocol: HTTP}, {name: b, port: 81, protocol: TCP}",
			want{Unaccepted: "ListenersNotValid", Unprogrammed: "ListenersNotValid", Listeners: []string{"ProtocolConflict", "ProtocolConflict"}},
		},
		{
			"no certificate", gw + http, without,
			want{Unaccepted: "ListenersNotValid", Unprogrammed: "ListenersNotValid", Listeners: []string{"Invalid"}},
		},
		{
			"a certificate is missing", gw + http, without + ", {name: a, port: 81, protocol: HTTP}",
			want{SomeListenersInvalid: "ListenersNotValid", Listeners: []string{"Invalid", ""}, Count: 1},
		},
		{
			"the Gateway is not accepted", gw + http + ", addresses: [{type: Hostname, value: a.example.com}]", "{name: a, port: 81, protocol: HTTP}",
			want{Unaccepted: "ParentNotAccepted", Unprogrammed: "ParentNotProgrammed", Listeners: []string{"Pending"}, Gateway: "UnsupportedAddress"},
		},
		{
			"the Gateway is not programmed", gw + http + ", addresses: [{value: 224.0.0.1}]", "{name: a, port: 81, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}",
			want{SomeListenersInvalid: "ListenersNotValid", Unprogrammed: "ParentNotProgrammed", Listeners: []string{"Pending", "HostnameConflict"}, Count: 1},
		},
		{"no valid listener of the Gateway's own", gw + other, "{name: a, port: 81, protocol: HTTP}", want{Listeners: []string{""}, Count: 1}},
		{
			"no valid listener at all", gw + other, "{name: a, port: 81, protocol: example.com/other}",
			want{Unaccepted: "ListenersNotValid", Unprogrammed: "ListenersNotValid", Listeners: []string{"Invalid"}, Gateway: "ListenersNotValid"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, ourClass, "kind: Gateway\nmetadata: {name: gw}\nspec: {"+test.gateway+"}", setOf("default/set", 0, test.listeners))
			f, gateway := g.ListenerSet(name("default/set")), g.Gateway(name("default/gw"))
			got := want{
				Unaccepted: reason(f.Unaccepted), SomeListenersInvalid: reason(f.SomeListenersInvalid), Unprogrammed: reason(f.Unprogrammed),
				Gateway: reason(gateway.Unaccepted), Count: gateway.AttachedListenerSets,
			}
			for _, l := range f.Listeners {
				got.Listeners = append(got.Listeners, reason(l.Unprogrammed))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestListenerSetWithoutGateway: nobody is responsible for it, or somebody else.
func TestListenerSetWithoutGateway(t *testing.T) {
	t.Parallel()
	g := graphOf(t, setOf("default/set", 0, "{name: a, port: 81, protocol: HTTP}"))
	expect := func(managed bool, missing Key) {
		t.Helper()
		f := g.ListenerSet(name("default/set"))
		if f.Managed != managed || f.Orphaned != (missing != Key{}) || f.Missing != missing || f.Unaccepted != nil {
			t.Errorf("managed %v, orphaned %v of %v, unaccepted %+v; want %v, %v", f.Managed, f.Orphaned, f.Missing, f.Unaccepted, managed, missing)
		}
	}
	expect(false, key(KindGateway, "default/gw"))
	apply(t, g, openGateway)
	expect(false, Key{Kind: KindGatewayClass, Name: "ours"})
	apply(t, g, "kind: GatewayClass\nmetadata: {name: ours}\nspec: {controllerName: example.com/other}")
	expect(false, Key{})
	apply(t, g, ourClass)
	expect(true, Key{})
	apply(t, g, strings.Replace(setOf("default/set", 0, "{name: a, port: 81, protocol: HTTP}"), "{name: gw", "{kind: Other, group: example.com, name: gw", 1))
	expect(false, Key{})
}

func TestTooManyListeners(t *testing.T) {
	t.Parallel()
	g := graphOf(t, ourClass, openGateway)
	left := MaxListeners - 1 - 1 // but for one, next to that of the Gateway
	for i := 0; left > 0; i++ {
		var listeners []string
		for range min(left, 64) {
			listeners = append(listeners, fmt.Sprintf("{name: l%d, port: %d, protocol: HTTP}", left, 1000+left))
			left--
		}
		apply(t, g, setOf(fmt.Sprintf("default/set%02d", i), i, strings.Join(listeners, ", ")))
	}
	apply(t, g, setOf("default/last", 59, "{name: one, port: 100, protocol: HTTP}, {name: two, port: 101, protocol: HTTP}"))
	gw, f := g.Gateway(name("default/gw")), g.ListenerSet(name("default/last"))
	if len(gw.Listeners) != MaxListeners {
		t.Errorf("%d listeners, want %d", len(gw.Listeners), MaxListeners)
	}
	if reason(f.Listeners[0].Unaccepted) != "" || reason(f.Listeners[1].Unaccepted) != "TooManyListeners" || reason(f.SomeListenersInvalid) != "ListenersNotValid" {
		t.Errorf("one is %+v, two is %+v, the ListenerSet %+v", f.Listeners[0].Unaccepted, f.Listeners[1].Unaccepted, f.SomeListenersInvalid)
	}
	// Older, it takes the place of what is younger.
	apply(t, g, setOf("default/last", 0, "{name: one, port: 100, protocol: HTTP}, {name: two, port: 101, protocol: HTTP}"))
	if f := g.ListenerSet(name("default/last")); f.SomeListenersInvalid != nil {
		t.Errorf("the oldest: %+v", f.SomeListenersInvalid)
	}
}

// TestListenerSetGrants: what a Gateway may refer to, its ListenerSets may not, and the other way round.
func TestListenerSetGrants(t *testing.T) {
	t.Parallel()
	const grant = `
kind: ReferenceGrant
metadata: {name: g, namespace: certs}
spec:
  from: [{group: gateway.networking.k8s.io, kind: %s, namespace: default}]
  to: [{group: "", kind: Secret}]
`
	g := graphOf(t, ourClass, `
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: ours
  allowedListeners: {namespaces: {from: All}}
  listeners: [{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c, namespace: certs}]}}]
`, setOf("default/set", 0, "{name: https, port: 444, protocol: HTTPS, tls: {certificateRefs: [{name: c, namespace: certs}]}}"))
	g.Apply(tlsSecret("certs/c", keyPairs().a))
	for _, kind := range []Kind{KindGateway, KindListenerSet, KindHTTPRoute} {
		apply(t, g, fmt.Sprintf(grant, kind))
		for _, l := range g.Gateway(name("default/gw")).Listeners {
			want := "RefNotPermitted"
			if l.Key.Parent.Kind == kind {
				want = ""
			}
			if reason(l.Unresolved) != want {
				t.Errorf("with a grant for a %s, the listener of the %s is %+v, want %q", kind, l.Key.Parent.Kind, l.Unresolved, want)
			}
		}
	}
}

// TestListenerSetParents: routes attach to the listeners of what they name, and to none of what that is attached to.
func TestListenerSetParents(t *testing.T) {
	t.Parallel()
	g := graphOf(t, ourClass, openGateway, setOf("apps/set", 0, "{name: http, port: 81, protocol: HTTP}, {name: all, port: 82, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}"))
	tests := []struct {
		name, namespace, parent string
		want                    string
		listeners               []gwv1.SectionName
	}{
		{"the Gateway", "default", "{name: gw}", "", []gwv1.SectionName{"http"}},
		{"the ListenerSet, of its namespace", "apps", "{kind: ListenerSet, name: set}", "", []gwv1.SectionName{"http", "all"}},
		{"the ListenerSet, of the namespace of the Gateway", "default", "{kind: ListenerSet, name: set, namespace: apps}", "", []gwv1.SectionName{"all"}},
		{"not allowed", "default", "{kind: ListenerSet, name: set, namespace: apps, sectionName: http}", "NotAllowedByListeners", nil},
		{"a section of the ListenerSet in the Gateway", "default", "{name: gw, sectionName: all}", "NoMatchingParent", nil},
		{"a port of the Gateway in the ListenerSet", "apps", "{kind: ListenerSet, name: set, port: 80}", "NoMatchingParent", nil},
		{"missing", "apps", "{kind: ListenerSet, name: none}", "NoMatchingParent", nil},
		{"of another group", "apps", "{group: gateway.networking.x-k8s.io, kind: XListenerSet, name: set}", "", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := g.PreviewRoute(parseOne[*gwv1.HTTPRoute](t, `
kind: HTTPRoute
metadata: {name: r, namespace: `+test.namespace+`}
spec: {parentRefs: [`+test.parent+`]}
`))
			var listeners []gwv1.SectionName
			for _, a := range f.Parents[0].Attachments {
				listeners = append(listeners, a.Listener.Name)
			}
			if reason(f.Parents[0].Unaccepted) != test.want {
				t.Errorf("unaccepted %+v, want %q", f.Parents[0].Unaccepted, test.want)
			}
			if diff := cmp.Diff(test.listeners, listeners); diff != "" {
				t.Errorf("attachments (-want +got):\n%s", diff)
			}
		})
	}
}
