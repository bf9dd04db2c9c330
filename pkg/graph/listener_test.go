package graph

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestListener(t *testing.T) {
	t.Parallel()
	const cert = "tls: {certificateRefs: [{name: a}]}"
	type want struct {
		Conflict, Unaccepted, Unresolved, Unprogrammed, Overlapping string
		Kinds                                                       string // the initials of SupportedKinds
	}
	fine := want{Kinds: "HG"}
	overlapping := want{Kinds: "HG", Overlapping: "OverlappingHostnames"}
	conflicted := func(reason string) want {
		return want{Kinds: "HG", Conflict: reason, Unaccepted: reason, Unprogrammed: "Invalid"}
	}
	refused := func(reason, kinds string) want {
		return want{Kinds: kinds, Unaccepted: reason, Unprogrammed: "Invalid"}
	}
	unvalidated := want{Unaccepted: "NoValidCACertificate", Unresolved: "InvalidCACertificateRef", Unprogrammed: "Invalid", Kinds: "HG"}
	tests := []struct {
		name, spec string
		want       []want
	}{
		{"HTTP and HTTPS", `
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: https, port: 443, protocol: HTTPS, ` + cert + `}`, []want{fine, fine}},
		{"UDP and protocols that are not supported conflict with nothing", `
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: udp, port: 80, protocol: UDP}
  - {name: own, port: 80, protocol: example.com/own}`,
			[]want{fine, {Kinds: "U"}, refused("UnsupportedProtocol", "")}},
		{"TCP wants a port for itself", `
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: tcp, port: 80, protocol: TCP}
  - {name: https, port: 443, protocol: HTTPS, ` + cert + `}
  - {name: tcp-tls, port: 443, protocol: TCP}
  - {name: alone, port: 81, protocol: TCP}`,
			[]want{conflicted("ProtocolConflict"), {Kinds: "T", Conflict: "ProtocolConflict", Unaccepted: "ProtocolConflict", Unprogrammed: "Invalid"}, conflicted("ProtocolConflict"), {Kinds: "T", Conflict: "ProtocolConflict", Unaccepted: "ProtocolConflict", Unprogrammed: "Invalid"}, {Kinds: "T"}}},
		{"HTTPS and TLS share a port by server name", `
  listeners:
  - {name: https, port: 443, protocol: HTTPS, hostname: a.example.com, ` + cert + `}
  - {name: passthrough, port: 443, protocol: TLS, hostname: b.example.com, tls: {mode: Passthrough}}
  - {name: terminate, port: 443, protocol: TLS, hostname: c.example.com, ` + cert + `}`,
			[]want{fine, {Kinds: "T"}, {Kinds: "T"}}},
		{"no port", `
  listeners:
  - {name: a, protocol: HTTP}
  - {name: b, protocol: HTTP}
  - {name: c, protocol: TCP}
  - {name: d, port: 80, protocol: HTTP}`, []want{refused("UnsupportedPort", "HG"), refused("UnsupportedPort", "HG"), refused("UnsupportedPort", "T"), fine}},
		{"HTTP and HTTPS on one port", `
  listeners:
  - {name: a, port: 80, protocol: HTTP, hostname: a.example.com}
  - {name: b, port: 80, protocol: HTTPS, hostname: b.example.com, ` + cert + `}
  - {name: c, port: 81, protocol: HTTP}`, []want{conflicted("ProtocolConflict"), conflicted("ProtocolConflict"), fine}},
		{"the same hostname", `
  listeners:
  - {name: a, port: 80, protocol: HTTP, hostname: a.example.com}
  - {name: b, port: 80, protocol: HTTP, hostname: b.example.com}
  - {name: c, port: 80, protocol: HTTP, hostname: A.example.com}
  - {name: d, port: 81, protocol: HTTP, hostname: a.example.com}`,
			[]want{conflicted("HostnameConflict"), fine, conflicted("HostnameConflict"), fine}},
		{"no hostname twice", `
  listeners:
  - {name: a, port: 80, protocol: HTTP}
  - {name: b, port: 80, protocol: HTTP, hostname: ""}`, []want{conflicted("HostnameConflict"), conflicted("HostnameConflict")}},
		{"protocol conflict before hostname conflict", `
  listeners:
  - {name: a, port: 80, protocol: HTTP}
  - {name: b, port: 80, protocol: HTTP}
  - {name: c, port: 80, protocol: HTTPS, ` + cert + `}`,
			[]want{conflicted("ProtocolConflict"), conflicted("ProtocolConflict"), conflicted("ProtocolConflict")}},
		{"overlapping hostnames", `
  listeners:
  - {name: a, port: 443, protocol: HTTPS, hostname: foo.example.com, ` + cert + `}
  - {name: b, port: 443, protocol: HTTPS, hostname: foo.example.org, ` + cert + `}
  - {name: c, port: 443, protocol: HTTPS, hostname: "*.example.com", ` + cert + `}
  - {name: d, port: 444, protocol: HTTPS, ` + cert + `}
  - {name: e, port: 80, protocol: HTTP, hostname: foo.example.com}
  - {name: f, port: 80, protocol: HTTP, hostname: "*.example.com"}`, []want{overlapping, fine, overlapping, fine, fine, fine}},
		{"hostnames of listeners that are not accepted don't overlap", `
  listeners:
  - {name: a, port: 443, protocol: HTTPS, hostname: foo.example.com, tls: {mode: Passthrough}}
  - {name: c, port: 443, protocol: HTTPS, hostname: "*.example.com", ` + cert + `}`, []want{refused("UnsupportedValue", "HG"), fine}},
		{"passthrough", `
  listeners: [{name: a, port: 443, protocol: HTTPS, tls: {mode: Passthrough, certificateRefs: [{name: a}]}}]`, []want{refused("UnsupportedValue", "HG")}},
		{"HTTP with tls", `
  listeners: [{name: a, port: 80, protocol: HTTP, ` + cert + `}]`, []want{refused("UnsupportedValue", "HG")}},
		{"kinds", `
  listeners: [{name: a, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: GRPCRoute}, {group: gateway.networking.k8s.io, kind: HTTPRoute}]}}]`,
			[]want{{Kinds: "GH"}}},
		{"some kinds invalid", `
  listeners: [{name: a, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: TCPRoute}, {kind: HTTPRoute}]}}]`,
			[]want{{Kinds: "H", Unresolved: "InvalidRouteKinds"}}},
		{"a kind of another group", `
  listeners: [{name: a, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{group: example.com, kind: HTTPRoute}, {kind: HTTPRoute}]}}]`,
			[]want{{Kinds: "H", Unresolved: "InvalidRouteKinds"}}},
		{"all kinds invalid", `
  listeners: [{name: a, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: TCPRoute}]}}]`,
			[]want{{Unresolved: "InvalidRouteKinds", Unprogrammed: "Invalid"}}},
		{"certificates before kinds", `
  listeners: [{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: none}]}, allowedRoutes: {kinds: [{kind: TCPRoute}]}}]`,
			[]want{{Unresolved: "InvalidCertificateRef", Unprogrammed: "Invalid"}}},
		{"selector without labels", `
  listeners: [{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector}}}]`, []want{refused("UnsupportedValue", "HG")}},
		{"selector that is invalid", `
  listeners: [{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchExpressions: [{key: a, operator: Like}]}}}}]`,
			[]want{refused("UnsupportedValue", "HG")}},
		{"unknown namespaces", `
  listeners: [{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Some}}}]`, []want{refused("UnsupportedValue", "HG")}},
		{"client certificates, by default", `
  tls: {frontend: {default: {validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}}, perPort: [{port: 444, tls: {}}]}}
  listeners:
  - {name: a, port: 443, protocol: HTTPS, ` + cert + `}
  - {name: b, port: 444, protocol: HTTPS, ` + cert + `}
  - {name: c, port: 80, protocol: HTTP}`, []want{unvalidated, fine, fine}},
		{"client certificates, by port", `
  tls: {frontend: {default: {}, perPort: [{port: 444, tls: {validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}}}]}}
  listeners:
  - {name: a, port: 443, protocol: HTTPS, ` + cert + `}
  - {name: b, port: 444, protocol: HTTPS, ` + cert + `}`, []want{fine, unvalidated}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, ourClass)
			g.Apply(tlsSecret("default/a", keyPairs().a))
			apply(t, g, "kind: Gateway\nmetadata: {name: gw}\nspec:\n  gatewayClassName: ours"+test.spec)
			var got []want
			f := g.Gateway(name("default/gw"))
			for _, l := range f.Listeners {
				w := want{
					reason(l.Conflict), reason(l.Unaccepted), reason(l.Unresolved), reason(l.Unprogrammed), reason(l.Overlapping), "",
				}
				for _, k := range l.SupportedKinds {
					w.Kinds += string(k.Kind[0])
				}
				got = append(got, w)
			}
			if f.Unaccepted != nil && f.Unaccepted.Reason != "ListenersNotValid" {
				t.Fatal(f.Unaccepted)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
