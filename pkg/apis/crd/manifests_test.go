package crd_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

const (
	removedPolicy = "kind: FieldValueForbidden gateway.networking.k8s.io/v1alpha2 BackendTLSPolicy is in the experimental channel of the Gateway API, and this server runs with --channel=standard; run it with --channel=experimental. The v1alpha2 version of BackendTLSPolicy has been removed in release v1.1.0 of the API. Please upgrade to v1."
	removedLB     = "kind: FieldValueForbidden gateway.networking.k8s.io/v1alpha2 BackendLBPolicy is in the experimental channel of the Gateway API, and this server runs with --channel=standard; run it with --channel=experimental. The v1alpha2 version of BackendLBPolicy has been removed in release v1.3.0 of the API. Please upgrade to gateway.networking.x-k8s.io/v1alpha1 XBackendTrafficPolicy."
	removedSet    = "kind: FieldValueForbidden gateway.networking.x-k8s.io/v1alpha1 XListenerSet is in the experimental channel of the Gateway API, and this server runs with --channel=standard; run it with --channel=experimental. The v1alpha1 version of XListenerSet has been removed in release v1.5.0 of the API. Please upgrade to gateway.networking.k8s.io/v1 ListenerSet."
)

// TestManifests validates what users wrote for releases since v0.7, in the version of that time.
func TestManifests(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		manifest string
		// The errors of the experimental and of the standard channel.
		experimental, standard []string
	}{
		"v0.7 HTTPRoute": {
			manifest: `
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: HTTPRoute
metadata: {name: route}
spec:
  parentRefs: [{name: gateway}]
  hostnames: [foo.example.com]
  rules:
  - matches: [{path: {type: PathPrefix, value: /login}, headers: [{name: env, value: canary}]}]
    filters: [{type: RequestMirror, requestMirror: {backendRef: {name: foo-copy, port: 80}}}]
    backendRefs: [{name: foo, port: 8080}]`,
		},
		"v0.7 Gateway without listeners": {
			manifest: `
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: Gateway
metadata: {name: gateway}
spec: {gatewayClassName: class}`,
			experimental: []string{skipped, "spec.listeners: FieldValueRequired"},
			standard:     []string{skipped, "spec.listeners: FieldValueRequired"},
		},
		"v1.0 BackendTLSPolicy with CA certificates": {
			manifest: `
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: BackendTLSPolicy
metadata: {name: policy}
spec:
  targetRef: {group: "", kind: Service, name: auth}
  tls:
    caCertRefs: [{group: "", kind: ConfigMap, name: auth-cert}]
    hostname: auth.example.com`,
			standard: []string{removedPolicy},
		},
		"v1.0 BackendTLSPolicy with both kinds of certificates": {
			manifest: `
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: BackendTLSPolicy
metadata: {name: policy}
spec:
  targetRef: {group: "", kind: Service, name: auth}
  tls:
    wellKnownCACerts: System
    caCertRefs: [{group: "", kind: ConfigMap, name: auth-cert}]
    hostname: auth.example.com`,
			experimental: []string{"spec.tls: must not contain both CACertRefs and WellKnownCACerts"},
			standard:     []string{removedPolicy},
		},
		"v1.0 Gateway with nothing but infrastructure": {
			manifest: `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway}
spec:
  infrastructure: {labels: {app.kubernetes.io/name: gateway}}`,
			experimental: []string{skipped, "spec.gatewayClassName: spec.gatewayClassName in body should be at least 1 chars long", "spec.listeners: FieldValueRequired"},
			standard:     []string{skipped, "spec.gatewayClassName: spec.gatewayClassName in body should be at least 1 chars long", "spec.listeners: FieldValueRequired"},
		},
		"v1.0 GRPCRoute": {
			manifest: `
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: GRPCRoute
metadata: {name: route}
spec:
  parentRefs: [{name: gateway}]
  rules:
  - matches: [{method: {service: foo.Bar, method: Login}}]
    backendRefs: [{name: foo, port: 9000}]`,
		},
		"v1.0 timeouts": {
			manifest: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route}
spec:
  rules:
  - timeouts: {request: 10s, backendRequest: 2s}
    backendRefs: [{name: timeout-svc, port: 8080}]`,
		},
		"v1.0 timeouts that never fit": {
			manifest: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route}
spec:
  rules:
  - timeouts: {request: 1s, backendRequest: 2s}`,
			experimental: []string{"spec.rules[0].timeouts: backendRequest timeout cannot be longer than request timeout"},
			standard:     []string{"spec.rules[0].timeouts: backendRequest timeout cannot be longer than request timeout"},
		},
		"v1.1 BackendLBPolicy": {
			manifest: `
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: BackendLBPolicy
metadata: {name: policy}
spec:
  targetRefs: [{group: core, kind: service, name: foo}]
  sessionPersistence:
    sessionName: foo-session
    absoluteTimeout: 1h
    idleTimeout: 30m
    type: Cookie
    cookieConfig: {lifetimeType: Session}`,
			standard: []string{removedLB},
		},
		"v1.1 BackendLBPolicy without targetRefs": {
			manifest: `
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: BackendLBPolicy
metadata: {name: policy}
spec:
  sessionPersistence: {sessionName: foo-session, type: Cookie}`,
			experimental: []string{skipped, "spec.targetRefs: FieldValueRequired"},
			standard:     []string{removedLB},
		},
		"v1.1 session persistence": {
			manifest: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route}
spec:
  rules:
  - sessionPersistence: {sessionName: session-a}
    backendRefs: [{name: servicev1}]`,
			experimental: []string{"spec.rules[0].backendRefs[0]: Must have port for Service reference"},
			standard:     []string{"spec.rules[0].backendRefs[0]: Must have port for Service reference", "spec.rules[0].sessionPersistence" + forbidden},
		},
		"v1.1 BackendTLSPolicy": {
			manifest: `
apiVersion: gateway.networking.k8s.io/v1alpha3
kind: BackendTLSPolicy
metadata: {name: policy}
spec:
  targetRefs: [{group: "", kind: Service, name: auth}]
  validation:
    caCertificateRefs: [{group: "", kind: ConfigMap, name: auth-cert}]
    hostname: auth.example.com`,
		},
		"v1.1 ReferenceGrant": {
			manifest: `
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: ReferenceGrant
metadata: {name: grant}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: foo}]
  to: [{group: "", kind: Service}]`,
		},
		"v1.2 mirrors": {
			manifest: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route}
spec:
  rules:
  - filters:
    - type: RequestMirror
      requestMirror: {backendRef: {name: mirror, port: 80}, percent: 42, fraction: {numerator: 1}}`,
			experimental: []string{"spec.rules[0].filters[0].requestMirror: Only one of percent or fraction may be specified in HTTPRequestMirrorFilter"},
			standard:     []string{"spec.rules[0].filters[0].requestMirror: Only one of percent or fraction may be specified in HTTPRequestMirrorFilter"},
		},
		"v1.2 retries": {
			manifest: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route}
spec:
  rules:
  - backendRefs: [{name: face, port: 80}]
    retry: {codes: [500, 502, 503, 504], attempts: 3, backoff: 500ms}`,
			standard: []string{"spec.rules[0].retry" + forbidden},
		},
		"v1.2 BackendTLSPolicy with names and options": {
			manifest: `
apiVersion: gateway.networking.k8s.io/v1alpha3
kind: BackendTLSPolicy
metadata: {name: policy}
spec:
  targetRefs: [{group: "", kind: Service, name: auth}]
  validation:
    hostname: auth.example.com
    wellKnownCACertificates: System
    subjectAltNames:
    - {type: URI, uri: "spiffe://example.com/ns/default/sa/auth"}
    - {type: Hostname, hostname: auth.example.com}
  options: {example.com/minimum-version: "1.3"}`,
		},
		"v1.2 TCPRoute with several rules": {
			manifest: `
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: route}
spec:
  rules:
  - backendRefs: [{name: foo, port: 1}]
  - backendRefs: [{name: foo, port: 2}]`,
		},
		"the same as v1": {
			manifest: `
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: route}
spec:
  rules:
  - backendRefs: [{name: foo, port: 1}]
  - backendRefs: [{name: foo, port: 2}]`,
			experimental: []string{skipped, "spec.rules: FieldValueTooMany must have at most 1 item"},
			standard:     []string{skipped, "spec.rules: FieldValueTooMany must have at most 1 item"},
		},
		"v1.3 XListenerSet without a port": {
			manifest: `
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XListenerSet
metadata: {name: listeners}
spec:
  parentRef: {name: gateway}
  listeners: [{name: first, protocol: HTTP}]`,
			standard: []string{removedSet},
		},
		"v1.4 TLSRoute without hostnames": {
			manifest: `
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TLSRoute
metadata: {name: route}
spec:
  rules: [{backendRefs: [{name: foo, port: 443}]}]`,
		},
		"v1.4 TLSRoute without hostnames in the next version": {
			manifest: `
apiVersion: gateway.networking.k8s.io/v1alpha3
kind: TLSRoute
metadata: {name: route}
spec:
  rules: [{backendRefs: [{name: foo, port: 443}]}]`,
			experimental: []string{skipped, "spec.hostnames: FieldValueRequired"},
			standard:     []string{skipped, "spec.hostnames: FieldValueRequired"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects, err := parseYAML([]byte(test.manifest))
			if err != nil || len(objects) != 1 {
				t.Fatal(len(objects), err)
			}
			obj, err := decode(objects[0])
			if err != nil {
				t.Fatal(err)
			}
			for channel, want := range map[crd.Channel][]string{crd.ExperimentalChannel: test.experimental, crd.StandardChannel: test.standard} {
				if want == nil {
					want = []string{}
				}
				if diff := cmp.Diff(want, messages(rules(channel, obj).Validate(t.Context(), obj))); diff != "" {
					t.Errorf("errors in the %s channel (-want +got):\n%s", channel, diff)
				}
			}
		})
	}
}
