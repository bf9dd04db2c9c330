package takeover

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

func value(t *testing.T, text string) any {
	t.Helper()
	return parse(t, "apiVersion: a/v1\nkind: K\nspec: "+text, "").Object["spec"]
}

func TestLacking(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		want, have string
		lacks      []string
	}{
		"the same":            {want: "{a: 1, b: [{c: x}]}", have: "{a: 1, b: [{c: x}]}"},
		"defaults":            {want: "{b: [{c: x}]}", have: "{a: 1, b: [{c: x, d: 2}]}"},
		"null":                {want: "{a: null}", have: "{}"},
		"empty list":          {want: "{a: []}", have: "{}"},
		"empty struct":        {want: "{a: {b: {}}}", have: "{}"},
		"missing":             {want: "{a: {b: 1}}", have: "{a: {}}", lacks: []string{"a.b"}},
		"missing struct":      {want: "{a: {b: {c: 1}}}", have: "{}", lacks: []string{"a"}},
		"missing zero":        {want: "{a: {b: 0}}", have: "{a: {}}", lacks: []string{"a.b"}},
		"another value":       {want: "{a: 1, b: x}", have: "{a: 2, b: x}", lacks: []string{"a"}},
		"another type":        {want: "{a: '1'}", have: "{a: 1}", lacks: []string{"a"}},
		"an item less":        {want: "{a: [1, 2]}", have: "{a: [1]}", lacks: []string{"a"}},
		"an item more":        {want: "{a: [1]}", have: "{a: [1, 2]}", lacks: []string{"a"}},
		"another item":        {want: "{a: [{b: 1}, {b: 2}]}", have: "{a: [{b: 1}, {b: 3}]}", lacks: []string{"a[1].b"}},
		"a list for a struct": {want: "{a: [1]}", have: "{a: {b: 1}}", lacks: []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.lacks, lacking("", value(t, tt.want), value(t, tt.have))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDifferences(t *testing.T) {
	t.Parallel()
	const base = "apiVersion: a/v1\nkind: K\nmetadata: "
	for name, tt := range map[string]struct {
		want, have string
		fields     []string
	}{
		"records":          {want: "{annotations: {gateway-apiserver.dev/handback: x}}", have: "{annotations: {gateway-apiserver.dev/takeover: y}}"},
		"conversion":       {want: "{annotations: {a: b}}", have: "{annotations: {a: b, gateway-apiserver.dev/conversion-data: '{}'}}"},
		"lost conversion":  {want: "{annotations: {gateway-apiserver.dev/conversion-data: '{}'}}", have: "{}", fields: []string{"metadata.annotations"}},
		"generated name":   {want: "{generateName: a-}", have: "{}", fields: []string{"metadata.generateName"}},
		"annotation":       {want: "{annotations: {a: b}}", have: "{annotations: {a: c}}", fields: []string{"metadata.annotations"}},
		"another label":    {want: "{}", have: "{labels: {a: b}}", fields: []string{"metadata.labels"}},
		"finalizers":       {want: "{finalizers: [a, b]}", have: "{finalizers: [b, a]}", fields: []string{"metadata.finalizers"}},
		"owners":           {want: "{ownerReferences: [{uid: a}]}", have: "{ownerReferences: [{uid: b}]}", fields: []string{"metadata.ownerReferences"}},
		"managers":         {want: "{managedFields: [{manager: a}]}", have: "{}", fields: []string{"metadata.managedFields"}},
		"deletion":         {want: "{deletionTimestamp: 2024-01-01T00:00:00Z}", have: "{}", fields: []string{"metadata.deletionTimestamp"}},
		"when it deleted":  {want: "{deletionTimestamp: 2024-01-01T00:00:00Z}", have: "{deletionTimestamp: 2024-01-01T00:00:01Z}"},
		"resource version": {want: "{resourceVersion: '1', selfLink: x}", have: "{resourceVersion: '2'}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, have := parse(t, base+tt.want, ""), parse(t, base+tt.have, "")
			if diff := cmp.Diff(tt.fields, differences(want.content, have.content)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWithSuccessors(t *testing.T) {
	t.Parallel()
	o := parse(t, `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: a}
spec: {gatewayClassName: c, backendTLS: {clientCertificateRef: {name: s}}}`, "")
	got, err := yaml.Marshal(withSuccessors(o.Unstructured).Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	const want = "gatewayClassName: c\ntls:\n  backend:\n    clientCertificateRef:\n      name: s\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, ok := o.Object["spec"].(map[string]any)["backendTLS"]; !ok {
		t.Error("the object itself was changed")
	}
}

func TestObserved(t *testing.T) {
	t.Parallel()
	o := parse(t, `
apiVersion: a/v1
kind: K
metadata: {name: a, generation: 7}
status: {conditions: [{type: A, observedGeneration: 7}, {type: B, observedGeneration: 6}, {type: C, observedGeneration: 1}, {type: D}]}`, "")
	for generation, want := range map[int64][]any{1: {int64(1), int64(0), int64(0), nil}, 3: {int64(3), int64(2), int64(1), nil}, 9: {int64(9), int64(6), int64(1), nil}} {
		var got []any
		for _, c := range observed(o, generation)["conditions"].([]any) {
			got = append(got, c.(map[string]any)["observedGeneration"])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("as generation %d (-want +got):\n%s", generation, diff)
		}
	}
	if observed(parse(t, route, ""), 1) == nil || observed(&object{Unstructured: o.Unstructured}, 1) != nil {
		t.Error("no status became one, or the other way round")
	}
}

func TestManagers(t *testing.T) {
	t.Parallel()
	entries := func(text string) []any { return value(t, text).([]any) }
	l := &lane{
		kind: schema.GroupKind{Group: "g", Kind: "K"}, versions: []string{"v1", "v1beta1"},
		storage: schema.GroupVersionResource{Group: "g", Version: "v1beta1", Resource: "ks"},
	}
	for name, tt := range map[string]struct{ entries, want string }{
		"its versions":    {"[{manager: a, apiVersion: g/v1}, {manager: b, apiVersion: g/v1beta1}]", "[{manager: a, apiVersion: g/v1}, {manager: b, apiVersion: g/v1beta1}]"},
		"another version": {"[{manager: a, apiVersion: g/v2}]", "[{manager: a, apiVersion: g/v1beta1}]"},
		"another group":   {"[{manager: a, apiVersion: x/v1}]", "[{manager: a, apiVersion: g/v1beta1}]"},
		"that it has too": {
			"[{manager: a, apiVersion: g/v1beta1, fieldsV1: {f:a: {f:b: {}}}}, {manager: a, apiVersion: g/v2, fieldsV1: {f:a: {f:c: {}}, f:d: {}}}]",
			"[{manager: a, apiVersion: g/v1beta1, fieldsV1: {f:a: {f:b: {}, f:c: {}}, f:d: {}}}]",
		},
	} {
		if diff := cmp.Diff(entries(tt.want), l.managers(entries(tt.entries))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	o := parse(t, `
apiVersion: g/v1
kind: K
metadata:
  managedFields:
  - {manager: before, time: "1"}
  - {manager: gateway-apiserver-takeover, time: "2"}
  - {manager: gateway-apiserver-takeover, subresource: status, time: "3"}
  - {manager: meanwhile, time: "3"}`, "")
	got := mergeManagers(entries("[{manager: before, time: '0'}, {manager: moved, time: '0'}]"), o.Unstructured)
	want := entries("[{manager: meanwhile, time: '3'}, {manager: before, time: '0'}, {manager: moved, time: '0'}]")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("written by others meanwhile (-want +got):\n%s", diff)
	}
}

func TestCopiedRecord(t *testing.T) {
	t.Parallel()
	o := parse(t, `{apiVersion: a/v1, kind: K, metadata: {uid: mine, annotations: {gateway-apiserver.dev/takeover: '{"uid":"other"}'}}}`, takeoverAnnotation)
	if o.record == nil {
		t.Fatal("there is no record")
	}
	p := &pass{mirror: &mirror{}}
	if got := p.read(o.Unstructured, serverSide{}, false); got.record != nil {
		t.Error("an object that was copied with its annotations counts as moved")
	}
}
