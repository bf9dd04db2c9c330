package graph

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

// streamsIn lists the streams of a scope: "listener/domain: route ...".
func streamsIn(g *Graph, scope Key) []string {
	var lines []string
	f := g.Scope(scope)
	if f == nil {
		return nil
	}
	for _, s := range f.Streams {
		line := fmt.Sprintf("%s/%s:", s.Key.Listener.Name, s.Key.Domain)
		for _, r := range s.Routes {
			line += " " + r.Key.Name
		}
		lines = append(lines, line)
	}
	return lines
}

func TestStreams(t *testing.T) {
	t.Parallel()
	const pass = "tls: {mode: Passthrough}"
	route := func(kind, name string, age int, spec string) string {
		return fmt.Sprintf("kind: %sRoute\nmetadata: {name: %s, creationTimestamp: \"2024-01-01T00:00:%02dZ\"}\nspec: {parentRefs: [{name: gw}], rules: [{}], %s}", kind, name, age, spec)
	}
	tests := []struct {
		name, listeners string
		routes          []string
		want            []string
	}{
		{"the oldest first, and then by name", "{name: tcp, port: 1, protocol: TCP}, {name: udp, port: 1, protocol: UDP}",
			[]string{route("TCP", "c", 1, ""), route("TCP", "b", 2, ""), route("TCP", "a", 2, ""), route("UDP", "u", 1, "")},
			[]string{"tcp/: c a b", "udp/: u"}},
		{"without routes", "{name: tcp, port: 1, protocol: TCP}, {name: tls, port: 2, protocol: TLS, " + pass + "}, {name: a, port: 2, protocol: TLS, hostname: a.example.com, " + pass + "}",
			nil, []string{"tcp/:", "tls/*:", "a/a.example.com:"}},
		{"by server name", "{name: tls, port: 1, protocol: TLS, hostname: '*.example.com', " + pass + "}",
			[]string{route("TLS", "exact", 1, "hostnames: [a.example.com, b.example.com]"), route("TLS", "wild", 2, "hostnames: ['*.example.com', example.com]")},
			[]string{"tls/*.example.com: wild", "tls/a.example.com: exact", "tls/b.example.com: exact"}},
		{"the route's own hostname decides, and then the age", "{name: tls, port: 1, protocol: TLS, hostname: a.b.example.com, " + pass + "}",
			[]string{
				route("TLS", "any", 1, ""), route("TLS", "com", 2, "hostnames: ['*.com']"), route("TLS", "wild", 3, "hostnames: ['*.example.com']"),
				route("TLS", "wilder", 2, "hostnames: ['*.COM', '*.b.example.com']"), route("TLS", "exact", 5, "hostnames: [A.b.example.com]"),
				route("TLS", "same", 4, "hostnames: ['*.com', a.b.example.com]"),
			},
			[]string{"tls/a.b.example.com: same exact wilder wild com any"}},
		{"isolation among TLS listeners", "{name: wild, port: 1, protocol: TLS, hostname: '*.example.com', " + pass + "}, {name: exact, port: 1, protocol: TLS, hostname: a.example.com, " + pass + ", allowedRoutes: {namespaces: {from: None}}}",
			[]string{route("TLS", "r", 1, "hostnames: [a.example.com, b.example.com]")},
			[]string{"wild/*.example.com:", "wild/b.example.com: r", "exact/a.example.com:"}},
		{"isolation from HTTPS listeners", "{name: any, port: 1, protocol: TLS, " + pass + "}, {name: https, port: 1, protocol: HTTPS, hostname: '*.example.com', tls: {certificateRefs: [{name: a}]}}",
			[]string{route("TLS", "r", 1, "hostnames: [a.example.com, '*.example.com', '*.com']")},
			[]string{"any/*:", "any/*.com: r"}},
		{"other ports isolate nothing", "{name: any, port: 1, protocol: TLS, " + pass + "}, {name: exact, port: 2, protocol: TLS, hostname: a.example.com, " + pass + "}",
			[]string{route("TLS", "r", 1, "hostnames: [a.example.com]")},
			[]string{"any/*:", "any/a.example.com: r", "exact/a.example.com: r"}},
		{"listeners that aren't served", "{name: tcp, port: 1, protocol: TCP}, {name: http, port: 1, protocol: HTTP}, {name: tls, port: 2, protocol: TLS, tls: {certificateRefs: [{name: missing}]}}",
			[]string{route("TCP", "a", 1, ""), route("TLS", "b", 1, "hostnames: [a.example.com]")}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, ourClass)
			g.Apply(tlsSecret("default/a", keyPairs().a))
			gw := "kind: Gateway\nmetadata: {name: gw}\nspec: {gatewayClassName: ours, listeners: [" + test.listeners + "]}"
			apply(t, g, gw)
			for _, r := range test.routes {
				apply(t, g, r)
			}
			scope := key(KindGateway, "default/gw")
			if diff := cmp.Diff(test.want, streamsIn(g, scope)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, r := range test.routes {
				g.Delete(g.bareRoute(parse(t, r)[0]).Key)
			}
			if got := strings.Join(streamsIn(g, scope), "\n"); strings.Contains(got, ": ") {
				t.Errorf("with the routes gone, there is left:\n%s", got)
			}
		})
	}
}

// TestStreamAttachment: which listeners take a route, by protocol, port and section, and how many are counted there.
func TestStreamAttachment(t *testing.T) {
	t.Parallel()
	const gw = `
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: ours
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: https, port: 443, protocol: HTTPS, hostname: a.example.com, tls: {certificateRefs: [{name: a}]}}
  - {name: tls, port: 443, protocol: TLS, hostname: "*.example.com", tls: {mode: Passthrough}}
  - {name: tcp-1, port: 1, protocol: TCP}
  - {name: tcp-2, port: 2, protocol: TCP}
  - {name: tcp-none, port: 3, protocol: TCP, allowedRoutes: {namespaces: {from: None}}}
  - {name: udp-1, port: 1, protocol: UDP}
`
	tests := []struct {
		kind, spec, unaccepted string
		want                   string // listeners
	}{
		{"TCP", "parentRefs: [{name: gw}]", "", "tcp-1 tcp-2"},
		{"TCP", "parentRefs: [{name: gw, port: 1}]", "", "tcp-1"},
		{"TCP", "parentRefs: [{name: gw, sectionName: tcp-2}]", "", "tcp-2"},
		{"TCP", "parentRefs: [{name: gw, sectionName: tcp-2, port: 2}]", "", "tcp-2"},
		{"TCP", "parentRefs: [{name: gw, sectionName: tcp-2, port: 1}]", "NoMatchingParent", ""},
		{"TCP", "parentRefs: [{name: gw, sectionName: tcp-none}]", "NotAllowedByListeners", ""},
		{"TCP", "parentRefs: [{name: gw, sectionName: http}]", "NotAllowedByListeners", ""},
		{"TCP", "parentRefs: [{name: gw, sectionName: tls}]", "NotAllowedByListeners", ""},
		{"TCP", "parentRefs: [{name: gw, sectionName: udp-1}]", "NotAllowedByListeners", ""},
		{"UDP", "parentRefs: [{name: gw}]", "", "udp-1"},
		{"UDP", "parentRefs: [{name: gw, port: 1}]", "", "udp-1"},
		{"UDP", "parentRefs: [{name: gw, port: 443}]", "NotAllowedByListeners", ""},
		{"UDP", "parentRefs: [{name: gw, sectionName: none}]", "NoMatchingParent", ""},
		{"TLS", "parentRefs: [{name: gw}], hostnames: [a.example.com]", "", "tls"},
		{"TLS", "parentRefs: [{name: gw, sectionName: http}], hostnames: [a.example.com]", "NotAllowedByListeners", ""},
		{"TLS", "parentRefs: [{name: gw, sectionName: https}], hostnames: [a.example.com]", "NotAllowedByListeners", ""},
		{"TLS", "parentRefs: [{name: gw}], hostnames: [example.com, '*.example.org']", "NoMatchingListenerHostname", ""},
		{"TLS", "parentRefs: [{name: gw, sectionName: tcp-1}], hostnames: [a.example.com]", "NotAllowedByListeners", ""},
		{"HTTP", "parentRefs: [{name: gw, sectionName: tls}]", "NotAllowedByListeners", ""},
		{"HTTP", "parentRefs: [{name: gw, port: 443}]", "", "https"},
		{"TCP", "parentRefs: [{group: '', kind: Service, name: s}]", "NotAllowedByListeners", ""},
		{"UDP", "parentRefs: [{group: '', kind: Service, name: s}]", "NotAllowedByListeners", ""},
		{"TLS", "parentRefs: [{group: '', kind: Service, name: s}], hostnames: [a.example.com]", "NotAllowedByListeners", ""},
	}
	for _, test := range tests {
		t.Run(test.kind+" "+test.spec, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, ourClass, gw, "kind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}")
			g.Apply(tlsSecret("default/a", keyPairs().a))
			for _, name := range []string{"one", "two"} {
				apply(t, g, fmt.Sprintf("kind: %sRoute\nmetadata: {name: %s}\nspec: {%s, rules: [{backendRefs: [{name: missing, port: 80}]}]}", test.kind, name, test.spec))
			}
			attached := map[string]int32{}
			for _, name := range []string{"one", "two"} {
				p := g.Route(key(Kind(test.kind+"Route"), "default/"+name)).Parents[0]
				if reason(p.Unaccepted) != test.unaccepted {
					t.Errorf("%s: Unaccepted: %+v, want %q", name, p.Unaccepted, test.unaccepted)
				}
				var listeners []string
				for _, a := range p.Attachments {
					listeners = append(listeners, string(a.Listener.Name))
					attached[string(a.Listener.Name)]++
				}
				if got := strings.Join(listeners, " "); got != test.want {
					t.Errorf("%s: attached to %q, want %q", name, got, test.want)
				}
			}
			f := g.Gateway(types.NamespacedName{Namespace: "default", Name: "gw"})
			for i, l := range f.Listeners {
				if f.AttachedRoutes[i] != attached[string(l.Spec.Name)] {
					t.Errorf("AttachedRoutes of %s: %d, want %d", l.Spec.Name, f.AttachedRoutes[i], attached[string(l.Spec.Name)])
				}
			}
		})
	}
}

func TestStreamBackends(t *testing.T) {
	t.Parallel()
	const services = `
kind: Service
metadata: {name: s}
spec:
  ports:
  - {name: both-tcp, port: 53}
  - {name: both-udp, port: 53, protocol: UDP}
  - {name: udp, port: 54, protocol: UDP, appProtocol: kubernetes.io/h2c}
  - {name: tcp, port: 55, appProtocol: kubernetes.io/wss}
  - {name: sctp, port: 56, protocol: SCTP}
---
kind: Service
metadata: {name: s, namespace: other}
spec: {ports: [{port: 53, protocol: UDP}]}
---
kind: XBackendTrafficPolicy
metadata: {name: p}
spec: {targetRefs: [{group: "", kind: Service, name: s}], sessionPersistence: {sessionName: a}}
`
	for _, test := range []struct{ kind, ref, reason string }{
		{"TCP", "{name: s, port: 53}", ""},
		{"UDP", "{name: s, port: 53}", ""},
		{"TLS", "{name: s, port: 53}", ""},
		{"TCP", "{name: s, port: 54}", "UnsupportedProtocol"},
		{"TLS", "{name: s, port: 54}", "UnsupportedProtocol"},
		{"UDP", "{name: s, port: 54}", ""},
		{"TCP", "{name: s, port: 55}", ""},
		{"UDP", "{name: s, port: 55}", "UnsupportedProtocol"},
		{"TCP", "{name: s, port: 56}", "UnsupportedProtocol"},
		{"UDP", "{name: s, port: 56}", "UnsupportedProtocol"},
		{"UDP", "{name: s, port: 57}", "BackendNotFound"},
		{"UDP", "{name: missing, port: 53}", "BackendNotFound"},
		{"UDP", "{name: s}", "BackendNotFound"},
		{"TLS", "{group: example.com, kind: Bucket, name: s}", "InvalidKind"},
		{"UDP", "{name: s, namespace: other, port: 53}", "RefNotPermitted"},
	} {
		t.Run(test.kind+" "+test.ref, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, services, fmt.Sprintf("kind: %sRoute\nmetadata: {name: r}\nspec: {rules: [{backendRefs: [%s]}]}", test.kind, test.ref))
			f := g.Route(key(Kind(test.kind+"Route"), "default/r"))
			b := f.Rules[0].Backends[0]
			if reason(b.Problem) != test.reason || reason(f.Unresolved) != test.reason {
				t.Errorf("%+v, want %q", b.Problem, test.reason)
			}
			if b.Session != nil {
				t.Error("what is not read has no session")
			}
			if b.Problem == nil && b.Backend.UDP != (test.kind == "UDP") {
				t.Errorf("backend %s", b.Backend)
			}
		})
	}
}

// TestUnreachedRules: only v1alpha2 allows more than one.
func TestUnreachedRules(t *testing.T) {
	t.Parallel()
	g := graphOf(t, "kind: TCPRoute\nmetadata: {name: two}\nspec: {rules: [{}, {backendRefs: [{name: missing, port: 80}]}]}",
		"kind: TCPRoute\nmetadata: {name: one}\nspec: {rules: [{}]}")
	want := []string{"spec.rules[1:] has no effect: the rules of a TCPRoute have no matches, so that the first takes everything"}
	if diff := cmp.Diff(want, g.Route(key(KindTCPRoute, "default/two")).Warnings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if warnings := g.Route(key(KindTCPRoute, "default/one")).Warnings; warnings != nil {
		t.Errorf("warnings %q", warnings)
	}
}
