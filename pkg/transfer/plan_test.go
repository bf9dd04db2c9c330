package transfer

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/documents"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	c := gatewayCatalog("/v1/ConfigMap/configmaps", gatewayGroup+"/v1/GatewayClass/gatewayclasses")
	const route, gateway, config = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n", "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n", "apiVersion: v1\nkind: ConfigMap\n"
	owner := func(kind, name string) string {
		return "ownerReferences: [{apiVersion: gateway.networking.k8s.io/v1beta1, kind: " + kind + ", name: " + name + "}]"
	}
	for name, test := range map[string]struct {
		documents []string
		want      []string
		refused   []string
	}{
		"what others refer to first": {
			documents: []string{route + "metadata: {name: a}", gateway + "metadata: {name: b}",
				"apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: c}", "apiVersion: v1\nkind: Namespace\nmetadata: {name: d}"},
			want: []string{"Namespace d", "GatewayClass c", "Gateway standard/b", "HTTPRoute standard/a"},
		},
		"else as they come": {
			documents: []string{route + "metadata: {name: b}", route + "metadata: {name: a, namespace: x}"},
			want:      []string{"HTTPRoute standard/b", "HTTPRoute x/a"},
		},
		"owners before what they own": {
			documents: []string{config + "metadata: {name: a, " + owner("HTTPRoute", "b") + "}", route + "metadata: {name: b, " + owner("HTTPRoute", "c") + "}",
				route + "metadata: {name: c}", config + "metadata: {name: d, namespace: other, " + owner("HTTPRoute", "b") + "}"},
			want: []string{"ConfigMap other/d", "HTTPRoute standard/c", "HTTPRoute standard/b", "ConfigMap standard/a"},
		},
		"owners without a Namespace": {
			documents: []string{gateway + "metadata: {name: a, " + owner("GatewayClass", "c") + "}", "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: c}"},
			want:      []string{"GatewayClass c", "Gateway standard/a"},
		},
		"a circle": {
			documents: []string{gateway + "metadata: {name: a, " + owner("Gateway", "b") + "}", gateway + "metadata: {name: b, " + owner("Gateway", "a") + "}"},
			want:      []string{"Gateway standard/b", "Gateway standard/a"},
		},
		"twice": {
			documents: []string{route + "metadata: {name: a}", "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: HTTPRoute\nmetadata: {name: a, namespace: standard}"},
			want:      []string{"HTTPRoute standard/a"},
			refused:   []string{"HTTPRoute standard/a failed: the object is there twice: in here, and in here"},
		},
		"twice, as a view": {
			documents: []string{"apiVersion: gateway.networking.x-k8s.io/v1alpha1\nkind: XListenerSet\nmetadata: {name: a}", "apiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\nmetadata: {name: a}"},
			want:      []string{"XListenerSet standard/a"},
			refused:   []string{"ListenerSet standard/a failed: the object is there twice: in here, and in here"},
		},
		"a namespace where none belongs": {
			documents: []string{"apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: a, namespace: b}"},
			refused:   []string{"GatewayClass b/a failed: metadata.namespace: a GatewayClass is in no Namespace: remove the field"},
		},
		"unknown kinds": {
			documents: []string{"apiVersion: v1\nkind: Pod\nmetadata: {name: a}"},
			refused:   []string{"Pod a failed: the server has no kind Pod in the core group"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var objects []documents.Document
			for _, text := range test.documents {
				objects = append(objects, documents.Document{Place: documents.Place{File: "here"}, Object: object(t, text)})
			}
			p := newPlan(objects, c, "standard")
			var got, refused []string
			for _, i := range p.items {
				got = append(got, documents.Title(i.Object))
			}
			for _, r := range p.refused {
				refused = append(refused, r.Object+" "+string(r.Action)+": "+r.Err.Error())
			}
			if diff := cmp.Diff(test.want, got) + cmp.Diff(test.refused, refused); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDifferences(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		a, b string
		want []string
	}{
		"none":        {a: "{spec: {a: 1}}", b: "{spec: {a: 1}}"},
		"bookkeeping": {a: "{metadata: {resourceVersion: '1', generation: 1}, status: {a: 1}}", b: "{metadata: {resourceVersion: '2', managedFields: [{}]}}"},
		"some":        {a: "{metadata: {name: a, labels: {a: b}}, spec: {a: 1, c: 1}, data: {a: b}, type: x}", b: "{metadata: {name: a}, spec: {b: 1, c: 1}, data: {a: b}, type: y}", want: []string{"metadata.labels", "spec.a", "spec.b", "type"}},
		"whole":       {a: "{spec: {a: 1}}", b: "{}", want: []string{"spec"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, differences(object(t, test.a), object(t, test.b))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestStrip(t *testing.T) {
	t.Parallel()
	o := object(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, uid: b, resourceVersion: "1", generation: 3, creationTimestamp: "2026-01-02T03:04:05Z",
		deletionTimestamp: "2026-01-02T03:04:05Z", deletionGracePeriodSeconds: 0, selfLink: /a, labels: {a: b}, annotations: {a: b}, finalizers: [a/b],
		ownerReferences: [{apiVersion: v1, kind: A, name: b, uid: c, controller: true}]}, data: {a: b}}`)
	strip(o)
	want := object(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {a: b}, annotations: {a: b}, finalizers: [a/b],
		ownerReferences: [{apiVersion: v1, kind: A, name: b, controller: true}]}, data: {a: b}}`)
	if diff := cmp.Diff(want, o); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDropUnset(t *testing.T) {
	t.Parallel()
	const meta = "apiVersion: gateway.networking.x-k8s.io/v1alpha1, kind: XBackend, spec: "
	for before, after := range map[string]string{
		"{tls: {mode: None, validation: {hostname: ''}}}":                "{tls: {mode: None}}",
		"{tls: {mode: None}}":                                            "{tls: {mode: None}}",
		"{port: {port: 80}}":                                             "{port: {port: 80}}",
		"{tls: {validation: {hostname: a}}}":                             "{tls: {validation: {hostname: a}}}",
		"{tls: {validation: {hostname: '', subjectAltNames: [{a: b}]}}}": "{tls: {validation: {hostname: '', subjectAltNames: [{a: b}]}}}",
	} {
		got := object(t, "{"+meta+before+"}")
		DropUnset(got)
		if diff := cmp.Diff(object(t, "{"+meta+after+"}"), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", before, diff)
		}
	}
	other := "{apiVersion: example.com/v1, kind: XBackend, spec: {tls: {validation: {hostname: ''}}}}"
	got := object(t, other)
	DropUnset(got)
	if diff := cmp.Diff(object(t, other), got); diff != "" {
		t.Errorf("of another group (-want +got):\n%s", diff)
	}
}
