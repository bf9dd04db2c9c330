package retired

import "testing"

func TestSessionPersistence(t *testing.T) {
	t.Parallel()
	const (
		inRule0   = "spec.rules[0].sessionPersistence"
		toCookie0 = inRule0 + ".cookie -> sessionName and cookieConfig of " + inRule0
		toCookie  = inPolicy + ".cookie -> sessionName and cookieConfig of " + inPolicy
		toHeader  = inPolicy + ".header -> sessionName of " + inPolicy
	)
	runRewriteTests(t, []rewriteTest{
		{
			name: "cookie",
			kind: httpRoute,
			doc:  `spec: {rules: [{sessionPersistence: {type: null, absoluteTimeout: 1h, cookie: {name: x, lifetimeType: Permanent}}}]}`,
			want: `spec: {rules: [{sessionPersistence: {type: null, absoluteTimeout: 1h, sessionName: x, cookieConfig: {lifetimeType: Permanent}}}]}`,
			uses: []string{toCookie0},
		},
		{
			name: "empty cookie",
			kind: grpcRoute,
			doc:  `spec: {rules: [{sessionPersistence: {type: Cookie, cookie: {}}}]}`,
			want: `spec: {rules: [{sessionPersistence: {type: Cookie}}]}`,
			uses: []string{toCookie0},
		},
		{
			name: "header, in the second rule",
			kind: grpcRoute,
			doc:  `spec: {rules: [{}, {sessionPersistence: {type: Header, header: {name: x}}}]}`,
			want: `spec: {rules: [{}, {sessionPersistence: {type: Header, sessionName: x}}]}`,
			uses: []string{"spec.rules[1].sessionPersistence.header -> sessionName of spec.rules[1].sessionPersistence"},
		},
		{
			name: "path has no successor",
			kind: lbPolicy,
			doc:  `spec: {sessionPersistence: {cookie: {name: x, path: /a}}}`,
			want: `
metadata: {annotations: {gateway-apiserver.dev/retired-fields: '{"spec.sessionPersistence.cookie.path":"/a"}'}}
spec: {sessionPersistence: {sessionName: x}}`,
			uses: []string{inPolicy + ".cookie.path ->", toCookie},
		},
		{
			name: "idleTimeout has no successor",
			kind: httpRoute,
			doc: `
metadata: {annotations: {example.com/a: b, gateway-apiserver.dev/retired-fields: '{"spec.other":1}'}}
spec: {rules: [{sessionPersistence: {sessionName: x, idleTimeout: 30m}}, {sessionPersistence: {idleTimeout: 1h}}]}`,
			want: `
metadata:
  annotations:
    example.com/a: b
    gateway-apiserver.dev/retired-fields: '{"spec.other":1,"spec.rules[0].sessionPersistence.idleTimeout":"30m","spec.rules[1].sessionPersistence.idleTimeout":"1h"}'
spec: {rules: [{sessionPersistence: {sessionName: x}}, {sessionPersistence: {}}]}`,
			uses: []string{"spec.rules[0].sessionPersistence.idleTimeout ->", "spec.rules[1].sessionPersistence.idleTimeout ->"},
		},
		{
			name: "idleTimeout of a BackendLBPolicy is not retired",
			kind: lbPolicy,
			doc:  `spec: {sessionPersistence: {sessionName: x, idleTimeout: 30m}}`,
		},
		{
			name: "somebody else's annotation",
			kind: trafficPolicy,
			doc: `
metadata: {annotations: {gateway-apiserver.dev/retired-fields: hello}}
spec: {sessionPersistence: {idleTimeout: 30m}}`,
			want: `
metadata: {annotations: {gateway-apiserver.dev/retired-fields: '{"spec.sessionPersistence.idleTimeout":"30m"}'}}
spec: {sessionPersistence: {}}`,
			uses: []string{inPolicy + ".idleTimeout ->"},
		},
		{
			name: "nulls are nothing",
			kind: httpRoute,
			doc:  `spec: {rules: [{sessionPersistence: {cookie: null, header: null, idleTimeout: null}}]}`,
			want: `spec: {rules: [{sessionPersistence: {}}]}`,
		},
		{
			name: "types that don't match",
			kind: httpRoute,
			doc: `
spec:
  rules:
  - sessionPersistence: {type: Header, cookie: {name: x}}
  - sessionPersistence: {type: Cookie, header: {name: x}}
  - sessionPersistence: {header: {name: x}}`,
			uses: []string{
				toCookie0,
				"spec.rules[1].sessionPersistence.header -> sessionName of spec.rules[1].sessionPersistence",
				"spec.rules[2].sessionPersistence.header -> sessionName of spec.rules[2].sessionPersistence",
			},
			errs: []string{
				"spec.rules[0].sessionPersistence.cookie: Forbidden: is for type Cookie only; type is Header",
				"spec.rules[1].sessionPersistence.header: Forbidden: is for type Header only; type is Cookie",
				"spec.rules[2].sessionPersistence.header: Forbidden: is for type Header only; type is Cookie",
			},
		},
		{
			name: "two names, an unknown field, no object",
			kind: httpRoute,
			doc: `
spec:
  rules:
  - sessionPersistence: {sessionName: y, cookie: {name: x}}
  - sessionPersistence: {cookie: {domain: example.com}}
  - sessionPersistence: {cookie: x}`,
			uses: []string{
				toCookie0,
				"spec.rules[1].sessionPersistence.cookie -> sessionName and cookieConfig of spec.rules[1].sessionPersistence",
				"spec.rules[2].sessionPersistence.cookie -> sessionName and cookieConfig of spec.rules[2].sessionPersistence",
			},
			errs: []string{
				"spec.rules[0].sessionPersistence.cookie.name: Forbidden: is not what spec.rules[0].sessionPersistence.sessionName says",
				"spec.rules[1].sessionPersistence.cookie.domain: Forbidden: unknown field",
				"spec.rules[2].sessionPersistence.cookie: Forbidden: must be an object",
			},
		},
		{
			name: "a patch of rules replaces them",
			kind: httpRoute, form: MergePatch,
			doc: `spec: {rules: [{sessionPersistence: {cookie: {name: x, lifetimeType: null}, idleTimeout: 1h}}]}`,
			want: `
metadata: {annotations: {gateway-apiserver.dev/retired-fields: '{"spec.rules[0].sessionPersistence.idleTimeout":"1h"}'}}
spec: {rules: [{sessionPersistence: {sessionName: x}}]}`,
			uses: []string{toCookie0, inRule0 + ".idleTimeout ->"},
		},
		{
			name: "a patch of a policy is merged with it: the type may be there",
			kind: trafficPolicy, form: MergePatch,
			doc:  `spec: {sessionPersistence: {header: {name: x}}}`,
			want: `spec: {sessionPersistence: {sessionName: x}}`,
			uses: []string{toHeader},
		},
		{
			name: "a patch from a cookie to a header",
			kind: trafficPolicy, form: MergePatch,
			doc:  `spec: {sessionPersistence: {type: Header, cookie: null, header: {name: x}}}`,
			want: `spec: {sessionPersistence: {type: Header, sessionName: x, cookieConfig: null}}`,
			uses: []string{toHeader},
		},
		{
			name: "a patch of a part of the cookie",
			kind: trafficPolicy, form: MergePatch,
			doc:  `spec: {sessionPersistence: {cookie: {name: null, lifetimeType: Session}}}`,
			want: `spec: {sessionPersistence: {sessionName: null, cookieConfig: {lifetimeType: Session}}}`,
			uses: []string{toCookie},
		},
		{
			name: "a manifest that has come back to the served names",
			kind: trafficPolicy, form: MergePatch,
			doc: `
metadata: {annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"spec":{"sessionPersistence":{"sessionName":"x"}}}'}}
spec: {sessionPersistence: {cookie: null}}`,
			want: `
metadata: {annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"spec":{"sessionPersistence":{"sessionName":"x"}}}'}}
spec: {sessionPersistence: {cookieConfig: null}}`,
		},
		{
			name: "what is kept is taken back",
			kind: trafficPolicy, form: MergePatch,
			doc: `spec: {sessionPersistence: {idleTimeout: null}}`,
			want: `
metadata: {annotations: {gateway-apiserver.dev/retired-fields: null}}
spec: {sessionPersistence: {}}`,
		},
	})
}
