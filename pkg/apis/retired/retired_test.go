package retired

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

const (
	group  = "gateway.networking.k8s.io"
	xgroup = "gateway.networking.x-k8s.io"
)

var (
	gatewayClass  = schema.GroupKind{Group: group, Kind: "GatewayClass"}
	gateway       = schema.GroupKind{Group: group, Kind: "Gateway"}
	httpRoute     = schema.GroupKind{Group: group, Kind: "HTTPRoute"}
	grpcRoute     = schema.GroupKind{Group: group, Kind: "GRPCRoute"}
	lbPolicy      = schema.GroupKind{Group: group, Kind: "BackendLBPolicy"}
	trafficPolicy = schema.GroupKind{Group: xgroup, Kind: "XBackendTrafficPolicy"}
	backend       = schema.GroupKind{Group: xgroup, Kind: "XBackend"}
	listenerSet   = schema.GroupKind{Group: xgroup, Kind: "XListenerSet"}
)

// rewriteTest is a document, and what becomes of it.
type rewriteTest struct {
	name string
	kind schema.GroupKind
	form Form
	doc  string
	// want is the document afterwards; empty if it is the same.
	want string
	// uses are "path -> successor", with an arrow to nothing where there is none.
	uses []string
	left bool
	// errs are texts in the errors, one for each.
	errs []string
}

func runRewriteTests(t *testing.T, tests []rewriteTest) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			doc, want := parse(t, tt.doc), parse(t, tt.want)
			if tt.want == "" {
				want = parse(t, tt.doc)
			}
			result, errs := Lookup(tt.kind).Rewrite(doc, tt.form)
			var uses []string
			for _, use := range result.Uses {
				uses = append(uses, strings.TrimSpace(use.Path+" -> "+use.Successor))
			}
			if diff := cmp.Diff(tt.uses, uses); diff != "" {
				t.Errorf("uses (-want +got):\n%s", diff)
			}
			if len(errs) != len(tt.errs) {
				t.Fatalf("got errors %v, want %q", errs.ToAggregate(), tt.errs)
			}
			for i, err := range errs {
				if !strings.Contains(err.Error(), tt.errs[i]) {
					t.Errorf("got error %q, want %q in it", err, tt.errs[i])
				}
			}
			if len(errs) > 0 {
				return
			}
			if diff := cmp.Diff(want, doc); diff != "" {
				t.Errorf("document (-want +got):\n%s", diff)
			}
			if result.Changed != (tt.want != "") || result.Left != tt.left {
				t.Errorf("got changed %t, left %t, want %t, %t", result.Changed, result.Left, tt.want != "", tt.left)
			}
			again, errs := Lookup(tt.kind).Rewrite(doc, tt.form)
			if len(errs) > 0 || again.Changed || !tt.left && len(again.Uses) > 0 {
				t.Errorf("a second time it does something: %+v, %v", again, errs)
			}
		})
	}
}

func parse(t *testing.T, document string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := utilyaml.Unmarshal([]byte(document), &object); err != nil {
		t.Fatal(err)
	}
	return object
}

func TestBackendTLS(t *testing.T) {
	t.Parallel()
	moved := []string{"spec.backendTLS -> spec.tls.backend"}
	runRewriteTests(t, []rewriteTest{
		{
			name: "moved",
			kind: gateway,
			doc:  `spec: {gatewayClassName: x, backendTLS: {clientCertificateRef: {kind: Secret, name: cert}}}`,
			want: `spec: {gatewayClassName: x, tls: {backend: {clientCertificateRef: {kind: Secret, name: cert}}}}`,
			uses: moved,
		},
		{
			name: "beside the rest of spec.tls",
			kind: gateway,
			doc:  `spec: {backendTLS: {clientCertificateRef: {name: cert}}, tls: {frontend: {default: {}}}}`,
			want: `spec: {tls: {backend: {clientCertificateRef: {name: cert}}, frontend: {default: {}}}}`,
			uses: moved,
		},
		{
			name: "a null is nothing",
			kind: gateway,
			doc:  `spec: {gatewayClassName: x, backendTLS: null}`,
			want: `spec: {gatewayClassName: x}`,
		},
		{
			name: "the same as its successor, which has got defaults",
			kind: gateway,
			doc:  `spec: {backendTLS: {clientCertificateRef: {name: cert}}, tls: {backend: {clientCertificateRef: {group: "", kind: Secret, name: cert}}}}`,
			want: `spec: {tls: {backend: {clientCertificateRef: {group: "", kind: Secret, name: cert}}}}`,
			uses: moved,
		},
		{
			name: "another than its successor",
			kind: gateway,
			doc:  `spec: {backendTLS: {clientCertificateRef: {name: cert}}, tls: {backend: {clientCertificateRef: {name: other}}}}`,
			uses: moved,
			errs: []string{"spec.backendTLS: Forbidden: is not what spec.tls.backend says"},
		},
		{
			name: "spec.tls is no object, which the decoder will say",
			kind: gateway,
			doc:  `spec: {backendTLS: {clientCertificateRef: {name: cert}}, tls: 5}`,
			want: `spec: {tls: 5}`,
			uses: moved,
		},
		{
			name: "patched",
			kind: gateway, form: MergePatch,
			doc:  `spec: {backendTLS: {clientCertificateRef: {namespace: null, name: cert}}}`,
			want: `spec: {tls: {backend: {clientCertificateRef: {namespace: null, name: cert}}}}`,
			uses: moved,
		},
		{
			name: "patched while everything else in spec.tls is deleted",
			kind: gateway, form: MergePatch,
			doc:  `spec: {tls: null, backendTLS: {clientCertificateRef: {name: cert}}}`,
			want: `spec: {tls: {frontend: null, backend: {clientCertificateRef: {name: cert}}}}`,
			uses: moved,
		},
		{
			name: "deleted by a patch",
			kind: gateway, form: MergePatch,
			doc:  `spec: {backendTLS: null}`,
			want: `spec: {tls: {backend: null}}`,
		},
		{
			name: "a part of it deleted by a patch",
			kind: gateway, form: MergePatch,
			doc:  `spec: {backendTLS: {clientCertificateRef: null}}`,
			want: `spec: {tls: {backend: {clientCertificateRef: null}}}`,
			uses: moved,
		},
		{
			name: "deleted by a patch that deletes spec.tls",
			kind: gateway, form: MergePatch,
			doc:  `spec: {backendTLS: null, tls: null}`,
			want: `spec: {tls: null}`,
		},
		{
			name: "deleted by a patch that sets the successor",
			kind: gateway, form: MergePatch,
			doc:  `spec: {backendTLS: null, tls: {backend: {clientCertificateRef: {name: cert}}}}`,
			want: `spec: {tls: {backend: {clientCertificateRef: {name: cert}}}}`,
		},
		{
			name: "gone from a manifest that has the successor now",
			kind: gateway, form: MergePatch,
			doc: `
metadata: {annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"spec":{"tls":{"backend":{"clientCertificateRef":{"name":"cert"}}}}}'}}
spec: {backendTLS: null}`,
			want: `
metadata: {annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"spec":{"tls":{"backend":{"clientCertificateRef":{"name":"cert"}}}}}'}}
spec: {}`,
		},
		{
			name: "gone from a manifest",
			kind: gateway, form: MergePatch,
			doc: `
metadata: {annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"spec":{"gatewayClassName":"x"}}'}}
spec: {backendTLS: null}`,
			want: `
metadata: {annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"spec":{"gatewayClassName":"x"}}'}}
spec: {tls: {backend: null}}`,
		},
	})
}

func TestSupportedFeatures(t *testing.T) {
	t.Parallel()
	runRewriteTests(t, []rewriteTest{
		{
			name: "strings",
			kind: gatewayClass,
			doc:  `status: {supportedFeatures: [Gateway, HTTPRoute]}`,
			want: `status: {supportedFeatures: [{name: Gateway}, {name: HTTPRoute}]}`,
			uses: []string{
				"status.supportedFeatures[0] -> status.supportedFeatures[0].name",
				"status.supportedFeatures[1] -> status.supportedFeatures[1].name",
			},
		},
		{
			name: "objects",
			kind: gatewayClass,
			doc:  `status: {supportedFeatures: [{name: Gateway}]}`,
		},
		{
			name: "in a patch",
			kind: gatewayClass, form: MergePatch,
			doc:  `status: {supportedFeatures: [{name: Gateway}, HTTPRoute]}`,
			want: `status: {supportedFeatures: [{name: Gateway}, {name: HTTPRoute}]}`,
			uses: []string{"status.supportedFeatures[1] -> status.supportedFeatures[1].name"},
		},
		{
			name: "deleted",
			kind: gatewayClass, form: MergePatch,
			doc: `status: {supportedFeatures: null}`,
		},
	})
}

func TestBackend(t *testing.T) {
	t.Parallel()
	runRewriteTests(t, []rewriteTest{
		{
			name: "port and status",
			kind: backend,
			doc: `
spec: {port: {number: 443, name: https}}
status: {ancestors: [{controllerName: example.com/x, ancestorRef: {name: gw}}]}`,
			want: `
spec: {port: {port: 443, name: https}}
status: {parents: [{controllerName: example.com/x, parentRef: {name: gw}}]}`,
			uses: []string{"spec.port.number -> spec.port.port", "status.ancestors -> status.parents"},
		},
		{
			name: "other number",
			kind: backend,
			doc:  `spec: {port: {number: 443, port: 80}}`,
			uses: []string{"spec.port.number -> spec.port.port"},
			errs: []string{"spec.port.number: Forbidden: is not what spec.port.port says"},
		},
		{
			name: "in a patch",
			kind: backend, form: MergePatch,
			doc:  `spec: {port: {number: 443, port: null}}`,
			want: `spec: {port: {port: 443}}`,
			uses: []string{"spec.port.number -> spec.port.port"},
		},
		{
			name: "deleted",
			kind: backend, form: MergePatch,
			doc:  `{spec: {port: {number: null}}, status: {ancestors: null}}`,
			want: `{spec: {port: {port: null}}, status: {parents: null}}`,
		},
	})
}

func TestNamedIn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		kind    schema.GroupKind
		pointer string
		value   any
		want    []string
	}{
		{gateway, "/spec/backendTLS", nil, []string{"spec.backendTLS"}},
		{gateway, "/spec/backendTLS/clientCertificateRef/name", "cert", []string{"spec.backendTLS"}},
		{gateway, "/spec", map[string]any{"backendTLS": map[string]any{}}, []string{"spec.backendTLS"}},
		{gateway, "", map[string]any{"spec": map[string]any{"backendTLS": map[string]any{}}}, []string{"spec.backendTLS"}},
		{gateway, "/spec/listeners/0/tls/frontendValidation", nil, []string{"spec.listeners[].tls.frontendValidation"}},
		{gateway, "/spec/listeners/-1/tls/frontendValidation", nil, []string{"spec.listeners[].tls.frontendValidation"}},
		{gateway, "/spec/listeners/-", map[string]any{"tls": map[string]any{"frontendValidation": map[string]any{}}}, []string{"spec.listeners[].tls.frontendValidation"}},
		{gateway, "/spec/listeners/0/tls/certificateRefs/0/name", "cert", nil},
		{gateway, "/spec/tls/backend", map[string]any{}, nil},
		{gateway, "/metadata/annotations/example.com~1backendTLS", "x", nil},
		{gateway, "/0", nil, nil},
		{gatewayClass, "/status/supportedFeatures/-", "HTTPRoute", []string{"status.supportedFeatures[]"}},
		{gatewayClass, "/status/supportedFeatures/-", map[string]any{"name": "HTTPRoute"}, nil},
		{httpRoute, "/spec/rules/3/sessionPersistence/idleTimeout", "1h", []string{"spec.rules[].sessionPersistence.idleTimeout"}},
		{httpRoute, "/spec/rules/-1/sessionPersistence", map[string]any{"idleTimeout": "1h"}, []string{"spec.rules[].sessionPersistence.idleTimeout"}},
		{grpcRoute, "/spec/rules/3/sessionPersistence/header/name", "x", []string{"spec.rules[].sessionPersistence.header"}},
		{httpRoute, "/spec/rules/0/sessionPersistence/sessionName", "x", nil},
		{trafficPolicy, "/spec/sessionPersistence/cookie", map[string]any{"path": "/"}, []string{"spec.sessionPersistence.cookie.path", "spec.sessionPersistence.cookie"}},
		{listenerSet, "/spec/listeners/0/tls/frontendValidation", nil, []string{"spec.listeners[].tls.frontendValidation"}},
		{backend, "/spec/port/number", int64(80), []string{"spec.port.number"}},
	}
	for _, tt := range tests {
		t.Run(tt.kind.Kind+tt.pointer, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, f := range Lookup(tt.kind).NamedIn(tt.pointer, tt.value) {
				got = append(got, f.Name)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWarning(t *testing.T) {
	t.Parallel()
	fields := Lookup(httpRoute)
	result, errs := fields.Rewrite(parse(t, `spec: {rules: [{sessionPersistence: {idleTimeout: 1h, cookie: {name: x}}}]}`), Object)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	var got []string
	for _, use := range result.Uses {
		got = append(got, use.Warning())
	}
	want := []string{
		"spec.rules[0].sessionPersistence.cookie is a name of Gateway API v1.7; it is stored as sessionName and cookieConfig of spec.rules[0].sessionPersistence",
		"spec.rules[0].sessionPersistence.idleTimeout was retired in Gateway API v1.6; it has no effect and is kept in the annotation gateway-apiserver.dev/retired-fields",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// FuzzRewrite rewrites any JSON as any kind: nothing panics, documents that mention no retired field stay as they are, and
// what has been rewritten has no retired field any more.
func FuzzRewrite(f *testing.F) {
	for _, seed := range []string{
		`{"spec":{"backendTLS":{"clientCertificateRef":{"name":"x"}},"tls":{"backend":null},"listeners":[{"port":443,"protocol":"HTTPS","tls":{"frontendValidation":{"caCertificateRefs":[{"name":"ca"}]}}}]}}`,
		`{"spec":{"rules":[{"sessionPersistence":{"type":"Header","header":{"name":"x"},"idleTimeout":"1h"}}]}}`,
		`{"spec":{"sessionPersistence":{"cookie":{"name":"x","path":"/","lifetimeType":"Permanent"},"idleTimeout":null}}}`,
		`{"metadata":{"annotations":{"gateway-apiserver.dev/retired-fields":"{}"}},"spec":{"sessionPersistence":{"idleTimeout":"1h"}}}`,
		`{"spec":{"port":{"number":1}},"status":{"ancestors":[{"ancestorRef":{}}],"supportedFeatures":["a",{"name":"b"}]}}`,
		`{"spec":[],"status":{"supportedFeatures":{}},"metadata":1}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for kind, fields := range kinds {
			for _, form := range []Form{Object, MergePatch, Patched} {
				var doc, before map[string]any
				if json.Unmarshal([]byte(text), &doc) != nil || json.Unmarshal([]byte(text), &before) != nil {
					return
				}
				result, errs := fields.Rewrite(doc, form)
				if !result.Changed && len(errs) == 0 {
					if diff := cmp.Diff(before, doc); diff != "" {
						t.Errorf("%s: changed, and doesn't say so:\n%s", kind.Kind, diff)
					}
				}
				if !fields.MentionedIn([]byte(text)) && !strings.Contains(text, `\u`) && (result.Changed || len(result.Uses) > 0 || len(errs) > 0) {
					t.Errorf("%s: no retired field is mentioned: %+v, %v", kind.Kind, result, errs)
				}
				if len(errs) > 0 {
					continue
				}
				if again, errs := fields.Rewrite(doc, form); !result.Left && (again.Changed || len(again.Uses) > 0 || len(errs) > 0) {
					t.Errorf("%s: still has retired fields: %+v, %v\n%v", kind.Kind, again, errs, doc)
				}
			}
		}
	})
}
