package graph

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func TestFilterRules(t *testing.T) {
	t.Parallel()
	const us, in = "UnsupportedValue", "IncompatibleFilters"
	const (
		auth    = "type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: s}}"
		rewrite = "{type: URLRewrite, urlRewrite: {}}"
	)
	tests := []ruleTest{
		{name: "the same header in two lists", rule: "{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-A, value: b}], remove: [a, x-a]}}]}", failing: us, field: "filters[0]"},
		{name: "the same header twice", rule: "{filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: X-A, value: b}, {name: x-a, value: c}]}}]}", warning: "filters[0].responseHeaderModifier.add[1]"},

		{name: "mirrors", rule: "{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: s}, percent: 0}}, {type: RequestMirror, requestMirror: {backendRef: {name: s}, fraction: {numerator: 100}}}]}"},
		{name: "mirror by percent and fraction", rule: "{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: s}, percent: 0, fraction: {numerator: 1}}}]}", failing: us, field: "filters[0]"},
		{name: "mirror by less than nothing", rule: "{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: s}, percent: -1}}]}", failing: us, field: "filters[0]"},
		{name: "mirror by more than all", rule: "{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: s}, fraction: {numerator: 101}}}]}", failing: us, field: "filters[0]"},
		{name: "mirror by a fraction that isn't one", rule: "{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: s}, fraction: {numerator: 0, denominator: 0}}}]}", failing: us, field: "filters[0]"},
		{name: "mirror of what is redirected", rule: "{filters: [{type: RequestRedirect, requestRedirect: {}}, {type: RequestMirror, requestMirror: {backendRef: {name: s}}}]}", warning: "filters[1]"},

		{name: "backends of a redirect", rule: "{filters: [{type: RequestRedirect, requestRedirect: {}}], backendRefs: [{name: s}]}", warning: "backendRefs"},
		{name: "rewrite or redirect, by backend", rule: "{backendRefs: [{name: s, filters: [{type: RequestRedirect, requestRedirect: {}}]}, {name: s, filters: [" + rewrite + "]}]}"},
		{name: "rewrite and redirect of a backend", rule: "{backendRefs: [{name: s, filters: [{type: RequestRedirect, requestRedirect: {}}, " + rewrite + "]}]}", failing: in, field: "backendRefs[0].filters"},
		{name: "rewrite, and redirect of a backend", rule: "{filters: [" + rewrite + "], backendRefs: [{name: s, filters: [{type: RequestRedirect, requestRedirect: {}}]}]}", failing: in, field: "backendRefs[0].filters"},
		{name: "rewrite of a backend too", rule: "{filters: [" + rewrite + "], backendRefs: [{name: s, filters: [" + rewrite + "]}]}"},
		{name: "prefix of an exact match, of a backend", rule: "{matches: [{path: {type: Exact, value: /a}}], backendRefs: [{name: s}, {name: s, filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]}]}",
			dropped: us, field: "backendRefs[1].filters[0]"},

		{name: "setting the length of a body", rule: "{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-A, value: b}, {name: Content-Length, value: '3'}]}}]}", failing: us, field: "filters[0]"},
		{name: "adding how a body is framed", rule: "{filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: transfer-encoding, value: chunked}]}}]}", failing: us, field: "filters[0]"},
		{name: "removing the length of a body", rule: "{filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [Content-Length]}}]}"},

		{name: "CORS", rule: "{filters: [{type: CORS, cors: {allowOrigins: ['https://*.a.example:8443', 'http://A-b', 'https://*'], allowMethods: [GET, PATCH], allowHeaders: [X-A], exposeHeaders: ['*']}}]}"},
		{name: "CORS without settings", rule: "{filters: [{type: CORS}]}", failing: us, field: "filters[0]"},
		{name: "CORS twice", rule: "{filters: [{type: CORS, cors: {}}, {type: CORS, cors: {}}]}", failing: in, field: "filters[1]"},
		{name: "CORS of rule and backend", rule: "{filters: [{type: CORS, cors: {}}], backendRefs: [{name: s, filters: [{type: CORS, cors: {}}]}]}", failing: in, field: "backendRefs[0].filters"},
		{name: "CORS of a redirect", rule: "{filters: [{type: CORS, cors: {}}, {type: RequestRedirect, requestRedirect: {}}]}", failing: in, field: "filters"},
		{name: "CORS origin with a path", rule: "{filters: [{type: CORS, cors: {allowOrigins: ['*', 'https://a.example/b']}}]}", failing: us, field: "filters[0]"},
		{name: "CORS origin of another scheme", rule: "{filters: [{type: CORS, cors: {allowOrigins: ['ftp://a.example']}}]}", failing: us, field: "filters[0]"},
		{name: "CORS origin with a wildcard in it", rule: "{filters: [{type: CORS, cors: {allowOrigins: ['https://a.*.example']}}]}", failing: us, field: "filters[0]"},
		{name: "CORS origin with a port that isn't", rule: "{filters: [{type: CORS, cors: {allowOrigins: ['https://a.example:65536']}}]}", failing: us, field: "filters[0]"},
		{name: "CORS method", rule: "{filters: [{type: CORS, cors: {allowMethods: [BREW]}}]}", failing: us, field: "filters[0]"},
		{name: "CORS header", rule: "{filters: [{type: CORS, cors: {allowHeaders: [a b]}}]}", failing: us, field: "filters[0]"},
		{name: "CORS exposed header", rule: "{filters: [{type: CORS, cors: {exposeHeaders: ['']}}]}", failing: us, field: "filters[0]"},
		{name: "CORS exposing all with credentials", rule: "{filters: [{type: CORS, cors: {exposeHeaders: [a, '*'], allowCredentials: true}}]}", warning: "filters[0].cors.exposeHeaders[1]"},
		{name: "CORS allowing all headers with credentials", rule: "{filters: [{type: CORS, cors: {allowHeaders: ['*'], allowCredentials: true}}]}", warning: "filters[0].cors.allowHeaders"},
		{name: "CORS of what isn't asked", rule: "{matches: [{method: GET}], filters: [{type: CORS, cors: {}}]}", warning: "matches"},
		{name: "CORS of what is", rule: "{matches: [{method: GET}, {method: OPTIONS}], backendRefs: [{name: s, filters: [{type: CORS, cors: {}}]}]}"},

		{name: "ExternalAuth", rule: "{filters: [{" + auth + "}]}"},
		{name: "ExternalAuth without settings", rule: "{filters: [{type: ExternalAuth}]}", failing: us, field: "filters[0]"},
		{name: "ExternalAuth twice", rule: "{filters: [{" + auth + "}, {" + auth + "}]}", failing: in, field: "filters[1]"},
		{name: "ExternalAuth of rule and backend", rule: "{filters: [{" + auth + "}], backendRefs: [{name: s}, {name: s, filters: [{" + auth + "}]}]}", failing: in, field: "backendRefs[1].filters"},
		{name: "ExternalAuth of another protocol", rule: "{filters: [{type: ExternalAuth, externalAuth: {protocol: LDAP, backendRef: {name: s}}}]}", failing: us, field: "filters[0]"},
		{name: "ExternalAuth with a path", rule: "{filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {path: /a.b/..c/}, backendRef: {name: s}}}]}"},
		{name: "ExternalAuth with a path upwards", rule: "{filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {path: /a/%2E.}, backendRef: {name: s}}}]}", failing: us, field: "filters[0]"},
		{name: "ExternalAuth with a path of two slashes", rule: "{filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {path: /a//b}, backendRef: {name: s}}}]}", failing: us, field: "filters[0]"},
		{name: "ExternalAuth with a slash in a segment", rule: "{filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {path: /a%2Fb}, backendRef: {name: s}}}]}", failing: us, field: "filters[0]"},
		{name: "ExternalAuth with the body", rule: "{filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, forwardBody: {maxSize: 1}, backendRef: {name: s}}}]}", warning: "filters[0].externalAuth.forwardBody.maxSize"},
		{name: "ExternalAuth without the body", rule: "{filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, forwardBody: {}, backendRef: {name: s}}}]}"},
		{name: "ExternalAuth with a header that isn't copied", rule: "{filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {allowedResponseHeaders: [a, Content-Length]}, backendRef: {name: s}}}]}",
			warning: "filters[0].externalAuth.http.allowedResponseHeaders[1]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			testRule(t, KindHTTPRoute, test)
		})
	}
}

// What filters refer to is resolved as backends are, and counts for ResolvedRefs.
func TestFilterTargets(t *testing.T) {
	t.Parallel()
	g := graphOf(t, `
kind: Service
metadata: {name: s}
spec: {ports: [{port: 80}, {port: 90, appProtocol: http}, {port: 91, appProtocol: kubernetes.io/h2c}]}
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
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}]
  to: [{group: "", kind: Service}]
`)
	const auth, mirror = "type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: ", "type: RequestMirror, requestMirror: {backendRef: "
	for _, tt := range []struct{ name, rule, reason, message string }{
		{"authorization", "filters: [{" + auth + "{name: s, port: 80}}}]", "", ""},
		{"authorization, missing", "filters: [{" + mirror + "{name: s, port: 80}}}, {" + auth + "{name: missing, port: 80}}}]", "BackendNotFound",
			"spec.rules[0].filters[1].externalAuth.backendRef: Service default/missing does not exist"},
		{"authorization, on a port that isn't there", "filters: [{" + auth + "{name: s, port: 81}}}]", "BackendNotFound",
			"spec.rules[0].filters[0].externalAuth.backendRef: Service default/s has no port 81"},
		{"authorization, granted", "filters: [{" + auth + "{name: s, namespace: granted, port: 80}}}]", "", ""},
		{"authorization, not granted", "filters: [{" + auth + "{name: s, namespace: other, port: 80}}}]", "RefNotPermitted",
			"spec.rules[0].filters[0].externalAuth.backendRef: no ReferenceGrant in namespace other allows a HTTPRoute in namespace default to refer to Service other/s"},
		{"authorization over gRPC", "filters: [{type: ExternalAuth, externalAuth: {protocol: GRPC, backendRef: {name: s, port: 91}}}]", "", ""},
		{"authorization over gRPC, on a port that speaks HTTP/1.1", "filters: [{type: ExternalAuth, externalAuth: {protocol: GRPC, backendRef: {name: s, port: 90}}}]", "UnsupportedProtocol",
			"spec.rules[0].filters[0].externalAuth.backendRef: port 90 of Service default/s has appProtocol http, which GRPCRoutes do not support; they support grpc, kubernetes.io/h2c"},
		{"authorization for a backend", "backendRefs: [{name: s, port: 80}, {name: s, port: 80, filters: [{" + auth + "{kind: Bucket, name: b}}}]}]", "InvalidKind",
			"spec.rules[0].backendRefs[1].filters[0].externalAuth.backendRef: kind Bucket is not supported; refer to a Service or an XBackend.gateway.networking.x-k8s.io"},
		{"mirror for a backend", "backendRefs: [{name: s, port: 80, filters: [{" + mirror + "{name: missing, port: 80}}}]}]", "BackendNotFound",
			"spec.rules[0].backendRefs[0].filters[0].requestMirror.backendRef: Service default/missing does not exist"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := g.PreviewRoute(parseOne[*gwv1.HTTPRoute](t, `
kind: HTTPRoute
metadata: {name: r}
spec: {rules: [{`+tt.rule+`}]}
`))
			var want *Problem
			if tt.reason != "" {
				want = &Problem{tt.reason, tt.message}
			}
			if diff := cmp.Diff(want, f.Unresolved); diff != "" {
				t.Errorf("Unresolved (-want +got):\n%s", diff)
			}
			if f.Rules[0].Failing != nil {
				t.Errorf("Failing %+v", f.Rules[0].Failing)
			}
		})
	}
}

// Filters that a proxyless client can't execute are a reason to fail, mirrors are left out.
func TestMeshFilters(t *testing.T) {
	t.Parallel()
	g := graphOf(t, `
kind: Service
metadata: {name: s}
spec: {ports: [{port: 80}]}
`)
	const mirror = "{type: RequestMirror, requestMirror: {backendRef: {name: s, port: 80}}}"
	for _, tt := range []struct{ name, rule, needsProxy, warning string }{
		{"mirror", "filters: [" + mirror + "]", "", "spec.rules[0].filters[0] has no effect for proxyless gRPC clients, which mirror no requests"},
		{"mirror of a backend", "backendRefs: [{name: s, port: 80, filters: [" + mirror + "]}]", "",
			"spec.rules[0].backendRefs[0].filters[0] has no effect for proxyless gRPC clients, which mirror no requests"},
		{"CORS", "filters: [{type: CORS, cors: {}}]",
			"spec.rules[0].filters[0]: CORS cannot be executed by proxyless gRPC clients", ""},
		{"authorization for a backend", "backendRefs: [{name: s, port: 80, filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: s, port: 80}}}]}]",
			"spec.rules[0].backendRefs[0].filters[0]: ExternalAuth cannot be executed by proxyless gRPC clients", ""},
		{"rewrite for a backend without weight", "backendRefs: [{name: s, port: 80, weight: 0, filters: [{type: URLRewrite, urlRewrite: {}}]}]", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := g.PreviewRoute(parseOne[*gwv1.HTTPRoute](t, `
kind: HTTPRoute
metadata: {name: r}
spec: {parentRefs: [{group: "", kind: Service, name: s}], rules: [{`+tt.rule+`}]}
`))
			got := ""
			if p := f.MeshRules[0].NeedsProxy; p != nil {
				got = p.Message
			}
			if got != tt.needsProxy {
				t.Errorf("NeedsProxy %q, want %q", got, tt.needsProxy)
			}
			var want []string
			if tt.warning != "" {
				want = []string{tt.warning}
			}
			if diff := cmp.Diff(want, f.Warnings); diff != "" {
				t.Errorf("Warnings (-want +got):\n%s", diff)
			}
		})
	}
}
