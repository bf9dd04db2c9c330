package graph

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNeeds holds how little is needed; TestHistory holds that it is enough.
func TestNeeds(t *testing.T) {
	t.Parallel()
	const (
		grant = `
kind: ReferenceGrant
metadata: {name: g, namespace: certs}
spec: {from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: default}], to: [{group: "", kind: Secret, name: c}]}
`
		policy = `
kind: BackendTLSPolicy
metadata: {name: p}
spec:
  targetRefs: [{group: "", kind: Service, name: s}]
  validation: {hostname: a.example, caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}, {group: "", kind: Secret, name: ca}]}
`
		theirs = "kind: GatewayClass\nmetadata: {name: theirs}\nspec: {controllerName: example.com/other}"
	)
	gateway := func(class, tls, listener string) string {
		return "kind: Gateway\nmetadata: {name: gw}\nspec: {gatewayClassName: " + class + ", tls: {" + tls + "}, listeners: [{name: l, port: 443, " + listener + "}]}"
	}
	const https = "protocol: HTTPS, tls: {certificateRefs: [{name: c}, {name: c, namespace: certs}]}"
	tests := []struct {
		name    string
		stored  []string
		written string
		want    []string
	}{
		{"certificates", []string{ourClass}, gateway("ours", "", https), []string{"Secret default/c"}},
		{"a certificate that a grant permits", []string{ourClass, grant}, gateway("ours", "", https), []string{"Secret certs/c", "Secret default/c"}},
		{"a certificate that another grant permits", []string{ourClass, grant},
			gateway("ours", "", "protocol: HTTPS, tls: {certificateRefs: [{name: d, namespace: certs}]}"), nil},
		{"a class of another controller", []string{theirs}, gateway("theirs", "", https), nil},
		{"a class that is missing", nil, gateway("ours", "", https), nil},
		{"a certificate of another kind", []string{ourClass}, gateway("ours", "", "protocol: HTTPS, tls: {certificateRefs: [{name: c, group: example.com, kind: Certificate}]}"), nil},
		{"a protocol without TLS", []string{ourClass}, gateway("ours", "", "protocol: HTTP, tls: {certificateRefs: [{name: c}]}"), nil},
		{"TLS that is passed through", []string{ourClass}, gateway("ours", "", "protocol: HTTPS, tls: {mode: Passthrough, certificateRefs: [{name: c}]}"), nil},
		{"HTTPS without TLS", []string{ourClass}, gateway("ours", "", "protocol: HTTPS"), nil},
		{"a client certificate", []string{ourClass}, gateway("ours", "backend: {clientCertificateRef: {name: c}}", "protocol: HTTP"), []string{"Secret default/c"}},
		{"CAs of clients", []string{ourClass}, gateway("ours", `frontend: {default: {validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}, {group: "", kind: Secret, name: ca}]}}}`, "protocol: HTTPS"),
			[]string{"ConfigMap default/ca"}},
		{"CAs of clients on another port", []string{ourClass}, gateway("ours", `frontend: {perPort: [{port: 8443, tls: {validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}}}]}`, "protocol: HTTPS"), nil},
		{"a mode of validation that isn't known", []string{ourClass}, gateway("ours", `frontend: {default: {validation: {mode: Other, caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}}}`, "protocol: HTTPS"), nil},
		{"CAs of a backend", nil, policy, []string{"ConfigMap default/ca"}},
		{"a route to that backend", []string{policy}, "kind: HTTPRoute\nmetadata: {name: r}\nspec: {rules: [{backendRefs: [{name: s, port: 80}]}]}", []string{"ConfigMap default/ca"}},
		{"a GRPCRoute to that backend", []string{policy}, "kind: GRPCRoute\nmetadata: {name: r}\nspec: {rules: [{backendRefs: [{name: s, port: 80}]}]}", []string{"ConfigMap default/ca"}},
		{"a route to that backend that no grant permits", []string{policy},
			"kind: HTTPRoute\nmetadata: {name: r, namespace: app}\nspec: {rules: [{backendRefs: [{name: s, namespace: default, port: 80}]}]}", nil},
		{"a Service", []string{policy}, "kind: Service\nmetadata: {name: s}", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, test.stored...)
			var got []string
			for _, k := range g.NeededBy(parse(t, test.written)[0]) {
				got = append(got, k.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestNeeded: what several refer to is needed until the last of them is gone, and what crosses namespaces, as long as that
// is permitted.
func TestNeeded(t *testing.T) {
	t.Parallel()
	gateway := func(name string) string {
		return "kind: Gateway\nmetadata: {name: " + name + "}\nspec: {gatewayClassName: ours, listeners: [{name: l, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c, namespace: certs}]}}]}"
	}
	const grant = "kind: ReferenceGrant\nmetadata: {name: g, namespace: certs}\nspec: {from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: default}], to: [{group: \"\", kind: Secret}]}"
	certificate := key(KindSecret, "certs/c")
	g := graphOf(t, ourClass)
	for _, step := range []struct {
		name   string
		change func(t *testing.T, g *Graph) Dirty
		// needed afterwards, and whether that is said to be another answer than before
		needed, dirty bool
	}{
		{"a Gateway without a grant", manifest(gateway("a")), false, false},
		{"a grant", manifest(grant), true, true},
		{"another Gateway", manifest(gateway("b")), true, false},
		{"the Secret", func(_ *testing.T, g *Graph) Dirty { return g.Apply(tlsSecret("certs/c", keyPairs().a)) }, true, false},
		{"the Secret gone", deletion(certificate), true, false},
		{"a Gateway gone", deletion(key(KindGateway, "default/a")), true, false},
		{"the grant gone", deletion(key(KindReferenceGrant, "certs/g")), false, true},
		{"the grant again", manifest(grant), true, true},
		{"the class gone", deletion(key(KindGatewayClass, "/ours")), false, true},
		{"the class again", manifest(ourClass), true, true},
		{"the last Gateway gone", deletion(key(KindGateway, "default/b")), false, true},
	} {
		_, dirty := step.change(t, g).References[certificate]
		if g.Needed(certificate) != step.needed || dirty != step.dirty {
			t.Errorf("%s: needed %t, dirty %t; want %t, %t", step.name, g.Needed(certificate), dirty, step.needed, step.dirty)
		}
	}
}

func TestMissingFor(t *testing.T) {
	t.Parallel()
	const (
		route = `
kind: HTTPRoute
metadata: {name: r, namespace: app}
spec:
  parentRefs: [{name: gw}]
  rules:
  - backendRefs: [{name: s, port: 80}, {name: s, namespace: other, port: 80}, {name: s, namespace: secret, port: 80}, {group: example.com, kind: Bucket, name: b}]
    filters: [{type: RequestMirror, requestMirror: {backendRef: {name: mirror, port: 80}}}]
`
		stored = "kind: Namespace\nmetadata: {name: app}\n---\nkind: Service\nmetadata: {name: s, namespace: app}\n---\nkind: Service\nmetadata: {name: mirror, namespace: app}"
	)
	const grant = "kind: ReferenceGrant\nmetadata: {name: g, namespace: other}\nspec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: app}], to: [{group: \"\", kind: Service}]}"
	tests := []struct {
		name, stored, written string
		want                  []string
	}{
		{"a route", "", route, []string{"Namespace app", "Service app/mirror", "Service app/s", "Service other/s"}},
		{"a route to what is there", stored, route, []string{"Service other/s"}},
		{"a route of the mesh", stored, strings.Replace(route, "{name: gw}", `{group: "", kind: Service, name: parent}`, 1),
			[]string{"Service app/parent", "Service other/s", "Service secret/s"}},
		{"a GRPCRoute", "", "kind: GRPCRoute\nmetadata: {name: r, namespace: app}\nspec: {rules: [{backendRefs: [{name: s, port: 80}]}]}", []string{"Namespace app", "Service app/s"}},
		{"a BackendTLSPolicy", "", "kind: BackendTLSPolicy\nmetadata: {name: p, namespace: app}\nspec: {targetRefs: [{group: \"\", kind: Service, name: s}]}", []string{"Service app/s"}},
		{"an XBackendTrafficPolicy", "", "kind: XBackendTrafficPolicy\nmetadata: {name: p, namespace: app}\nspec: {targetRefs: [{group: \"\", kind: Service, name: s}]}", []string{"Service app/s"}},
		{"a Gateway", "", "kind: Gateway\nmetadata: {name: gw, namespace: app}", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, k := range graphOf(t, grant, test.stored).MissingFor(parse(t, test.written)[0]) {
				got = append(got, k.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
