package graph

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

const backendServices = `
kind: Service
metadata: {name: s}
spec:
  ports:
  - {name: http, port: 80}
  - {name: h2c, port: 81, protocol: TCP, appProtocol: kubernetes.io/h2c}
  - {name: ws, port: 82, appProtocol: kubernetes.io/ws}
  - {name: wss, port: 83, appProtocol: kubernetes.io/wss}
  - {name: plain, port: 84, appProtocol: http}
  - {name: grpc, port: 85, appProtocol: grpc}
  - {name: tls, port: 86, appProtocol: https}
  - {name: quic, port: 87, protocol: UDP, appProtocol: h3}
  - {name: dns-udp, port: 53, protocol: UDP}
  - {name: dns, port: 53, protocol: TCP}
---
kind: Service
metadata: {name: external}
spec: {type: ExternalName, externalName: example.com, ports: [{port: 80}]}
---
kind: Service
metadata: {name: s, namespace: granted}
spec: {ports: [{port: 80}]}
---
kind: Service
metadata: {name: s, namespace: other}
spec: {ports: [{port: 80}]}
---
kind: ReferenceGrant
metadata: {name: g, namespace: granted}
spec:
  from:
  - {group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}
  - {group: gateway.networking.k8s.io, kind: GRPCRoute, namespace: default}
  to: [{group: "", kind: Service}]
`

func TestBackends(t *testing.T) {
	t.Parallel()
	type want struct {
		Backend     string // empty: zero
		Weight      int32
		AppProtocol string
		HTTP, GRPC  string // reasons in the two kinds of routes
	}
	both := func(backend, reason string) want {
		return want{Backend: backend, Weight: 1, HTTP: reason, GRPC: reason}
	}
	tests := []struct {
		name, ref string
		want      want
	}{
		{"plain", "{name: s, port: 80}", both("default/s:80", "")},
		{"weight 0", "{group: '', kind: Service, name: s, port: 80, weight: 0}", want{Backend: "default/s:80"}},
		{"weight 0, missing", "{name: none, port: 80, weight: 0}", want{"default/none:80", 0, "", "BackendNotFound", "BackendNotFound"}},
		{"missing Service", "{name: none, port: 80}", both("default/none:80", "BackendNotFound")},
		{"missing port", "{name: s, port: 79}", both("default/s:79", "BackendNotFound")},
		{"no port", "{name: s}", both("default/s:0", "BackendNotFound")},
		{"another kind", "{group: example.com, kind: Bucket, name: s}", both("", "InvalidKind")},
		{"the kind of another group", "{group: example.com, kind: Service, name: s, port: 80}", both("", "InvalidKind")},
		{"the kind before the grant", "{kind: Bucket, name: s, namespace: other}", both("", "InvalidKind")},
		{"ExternalName", "{name: external, port: 80}", both("", "InvalidKind")},
		{"granted", "{name: s, namespace: granted, port: 80}", both("granted/s:80", "")},
		{"granted, missing Service", "{name: none, namespace: granted, port: 80}", both("granted/none:80", "BackendNotFound")},
		{"not granted", "{name: s, namespace: other, port: 80}", both("other/s:80", "RefNotPermitted")},
		{"not granted, missing Service", "{name: none, namespace: other, port: 80}", both("other/none:80", "RefNotPermitted")},
		{"UDP", "{name: s, port: 87}", both("default/s:87", "UnsupportedProtocol")},
		{"TCP and UDP", "{name: s, port: 53}", both("default/s:53", "")},
		{"h2c", "{name: s, port: 81}", want{"default/s:81", 1, "kubernetes.io/h2c", "", ""}},
		{"ws", "{name: s, port: 82}", want{"default/s:82", 1, "kubernetes.io/ws", "", "UnsupportedProtocol"}},
		{"wss", "{name: s, port: 83}", want{"default/s:83", 1, "kubernetes.io/wss", "UnsupportedProtocol", "UnsupportedProtocol"}},
		{"http", "{name: s, port: 84}", want{"default/s:84", 1, "http", "", "UnsupportedProtocol"}},
		{"grpc", "{name: s, port: 85}", want{"default/s:85", 1, "grpc", "", ""}},
		{"https", "{name: s, port: 86}", want{"default/s:86", 1, "https", "UnsupportedProtocol", "UnsupportedProtocol"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, backendServices)
			for _, kind := range []Kind{KindHTTPRoute, KindGRPCRoute} {
				apply(t, g, "kind: "+string(kind)+"\nmetadata: {name: r}\nspec: {rules: [{backendRefs: ["+test.ref+"]}]}")
				f := g.Route(key(kind, "default/r"))
				b := f.Rules[0].Backends[0]
				wantReason := test.want.HTTP
				if kind == KindGRPCRoute {
					wantReason = test.want.GRPC
				}
				backend := ""
				if b.Backend != (BackendKey{}) {
					backend = b.Backend.String()
				}
				got := want{backend, b.Weight, b.AppProtocol, test.want.HTTP, test.want.GRPC}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", kind, diff)
				}
				if reason(b.Problem) != wantReason || reason(f.Unresolved) != wantReason {
					t.Errorf("%s: Problem %+v, Unresolved %+v, want %q", kind, b.Problem, f.Unresolved, wantReason)
				}
			}
		})
	}
}

func TestUnresolvedIsTheFirst(t *testing.T) {
	t.Parallel()
	f := graphOf(t, backendServices).PreviewRoute(parseOne[*gwv1.HTTPRoute](t, `
kind: HTTPRoute
metadata: {name: r}
spec:
  rules:
  - backendRefs: [{name: s, port: 80}]
    filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {remove: [a]}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: s, port: 81}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: s, namespace: other, port: 80}}}
  - name: second
    backendRefs: [{name: none, port: 80}]
`))
	mirrors := []MirrorFacts{
		{1, BackendFacts{Weight: 1, Backend: ServiceBackend(name("default/s"), 81), AppProtocol: "kubernetes.io/h2c", HTTP2: true}},
		{2, BackendFacts{Weight: 1, Backend: ServiceBackend(name("other/s"), 80), Problem: &Problem{
			Reason: "RefNotPermitted",
			Message: "spec.rules[0].filters[2].requestMirror.backendRef: no ReferenceGrant in namespace other allows a HTTPRoute " +
				"in namespace default to refer to Service other/s",
		}}},
	}
	if diff := cmp.Diff(mirrors, f.Rules[0].Mirrors); diff != "" {
		t.Errorf("Mirrors (-want +got):\n%s", diff)
	}
	if f.Unresolved != f.Rules[0].Mirrors[1].Problem {
		t.Errorf("Unresolved: %+v", f.Unresolved)
	}
	want := &Problem{"BackendNotFound", `rule "second" backendRefs[0]: Service default/none does not exist`}
	if diff := cmp.Diff(want, f.Rules[1].Backends[0].Problem); diff != "" {
		t.Errorf("problem of a rule with a name (-want +got):\n%s", diff)
	}
}
