package apis_test

import (
	"encoding/json"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/apitesting/roundtrip"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/sets"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/randfill"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/gatewayx/v1alpha1"
)

// fuzzers fill objects with anything and set their defaults, as decoding them would.
func fuzzers(serializer.CodecFactory) (functions []any) {
	for _, kind := range slices.Concat(apis.DefinedKinds, apis.CoreKinds) {
		for _, v := range kind {
			functions = append(functions, defaulted(reflect.TypeOf(v.New())))
		}
	}
	return functions
}

// defaulted returns the function that fills objects of the type t, which is a pointer.
func defaulted(t reflect.Type) any {
	function := reflect.FuncOf([]reflect.Type{t, reflect.TypeFor[randfill.Continue]()}, nil, false)
	return reflect.MakeFunc(function, func(arguments []reflect.Value) []reflect.Value {
		obj, c := arguments[0].Interface(), arguments[1].Interface().(randfill.Continue)
		c.FillNoCustom(obj)
		if set, ok := obj.(*v1alpha1.XListenerSet); ok {
			copyPorts(set)
		}
		apis.Scheme.Default(obj.(runtime.Object))
		return nil
	}).Interface()
}

// TestRoundTrip holds that objects survive being encoded to JSON and YAML and decoded, by way of the hub version.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	filler := fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, fuzzers), rand.NewSource(seed), apis.Codecs)
	roundtrip.RoundTripTypesWithoutProtobuf(t, apis.Scheme, apis.Codecs, filler, nil)
}

// TestRoundTripUnstructured holds the same for JSON and CBOR by way of unstructured objects.
func TestRoundTripUnstructured(t *testing.T) {
	t.Parallel()
	options := sets.New[schema.GroupVersionKind]()
	for gvk := range apis.Scheme.AllKnownTypes() {
		if gvk.Version != runtime.APIVersionInternal && !apis.Scheme.Recognizes(gvk.GroupKind().WithVersion(runtime.APIVersionInternal)) {
			options.Insert(gvk)
		}
	}
	roundtrip.RoundtripToUnstructured(t, apis.Scheme, fuzzers, nil, options)
}

// TestVersions holds that clients get the versions in order of preference, and that what is stored is the hub.
func TestVersions(t *testing.T) {
	t.Parallel()
	for group, want := range map[string][]string{
		"":                            {"v1"},
		"discovery.k8s.io":            {"v1"},
		"gateway.networking.k8s.io":   {"v1", "v1beta1", "v1alpha3", "v1alpha2"},
		"gateway.networking.x-k8s.io": {"v1alpha1"},
		"gateway-apiserver.dev":       {"v1alpha1"},
	} {
		var got []string
		for _, gv := range apis.VersionedScheme.PrioritizedVersionsForGroup(group) {
			got = append(got, gv.Version)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: versions (-want +got):\n%s", group, diff)
		}
	}
	storage := apis.Codecs.LegacyCodec(apis.StorageVersions...)
	for _, kind := range slices.Concat(apis.DefinedKinds, apis.CoreKinds) {
		data, err := runtime.Encode(storage, kind.Hub().New())
		if err != nil {
			t.Fatal(err)
		}
		stored := metav1.TypeMeta{}
		if err := json.Unmarshal(data, &stored); err != nil || stored.GroupVersionKind() != kind.Hub().GroupVersionKind {
			t.Errorf("%v is stored as %v, %v", kind.Hub().GroupVersionKind, stored.GroupVersionKind(), err)
		}
		for _, v := range kind {
			if gvks, _, err := apis.VersionedScheme.ObjectKinds(v.New()); err != nil || len(gvks) != 1 || gvks[0] != v.GroupVersionKind {
				t.Errorf("%T: %v, %v; expected just %v in VersionedScheme", v.New(), gvks, err, v.GroupVersionKind)
			}
		}
	}
}

// TestOwnKinds holds that clients can register the types of our own kinds, and no others, as they are served.
func TestOwnKinds(t *testing.T) {
	t.Parallel()
	scheme := runtime.NewScheme()
	if err := fleetv1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	want := sets.New[string]()
	for _, kind := range slices.Concat(apis.OwnKinds, apis.ObservedKinds) {
		for _, v := range kind {
			want.Insert(v.Kind, v.Kind+"List")
			if obj, err := scheme.New(v.GroupVersionKind); err != nil || reflect.TypeOf(obj) != reflect.TypeOf(v.New()) {
				t.Errorf("%v is %T, %v; served is %T", v.GroupVersionKind, obj, err, v.New())
			}
		}
	}
	for name, typ := range scheme.KnownTypes(apis.FleetV1alpha1) {
		if strings.HasPrefix(typ.PkgPath(), "github.com/gateway-apiserver/") && !want.Has(name) {
			t.Errorf("%s is not served", name)
		}
	}
}

func TestDefault(t *testing.T) {
	t.Parallel()
	route := &gatewayv1.HTTPRoute{Spec: gatewayv1.HTTPRouteSpec{
		CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "gateway"}}},
	}}
	apis.Scheme.Default(route)
	want := &gatewayv1.HTTPRoute{Spec: gatewayv1.HTTPRouteSpec{
		CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{
			{Group: new(gatewayv1.Group(gatewayv1.GroupName)), Kind: new(gatewayv1.Kind("Gateway")), Name: "gateway"},
		}},
		Rules: []gatewayv1.HTTPRouteRule{{Matches: []gatewayv1.HTTPRouteMatch{
			{Path: &gatewayv1.HTTPPathMatch{Type: new(gatewayv1.PathMatchPathPrefix), Value: new("/")}},
		}}},
	}}
	if diff := cmp.Diff(want, route); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSelectableFields(t *testing.T) {
	t.Parallel()
	meta := metav1.ObjectMeta{Name: "a", Namespace: "b"}
	for name, test := range map[string]struct {
		gvk  schema.GroupVersionKind
		obj  runtime.Object
		want fields.Set // besides the name and the namespace
	}{
		"HTTPRoute": {schema.GroupVersion(gatewayv1.GroupVersion).WithKind("HTTPRoute"), &gatewayv1.HTTPRoute{ObjectMeta: meta}, nil},
		"Namespace": {
			corev1.SchemeGroupVersion.WithKind("Namespace"),
			&corev1.Namespace{ObjectMeta: meta, Status: corev1.NamespaceStatus{Phase: "Active"}},
			fields.Set{"status.phase": "Active"},
		},
		"Service": {
			corev1.SchemeGroupVersion.WithKind("Service"),
			&corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Type: "ClusterIP", ClusterIP: "None"}},
			fields.Set{"spec.type": "ClusterIP", "spec.clusterIP": "None"},
		},
		"Secret": {
			corev1.SchemeGroupVersion.WithKind("Secret"),
			&corev1.Secret{ObjectMeta: meta, Type: "Opaque"},
			fields.Set{"type": "Opaque"},
		},
		"Event": {
			corev1.SchemeGroupVersion.WithKind("Event"),
			&corev1.Event{
				ObjectMeta: meta, Reason: "r", Type: "Normal", ReportingController: "c",
				InvolvedObject: corev1.ObjectReference{Kind: "k", Name: "n", Namespace: "b", UID: "u", APIVersion: "v", ResourceVersion: "1", FieldPath: "f"},
			},
			fields.Set{
				"involvedObject.kind": "k", "involvedObject.name": "n", "involvedObject.namespace": "b",
				"involvedObject.uid": "u", "involvedObject.apiVersion": "v", "involvedObject.resourceVersion": "1",
				"involvedObject.fieldPath": "f", "reason": "r", "type": "Normal", "reportingComponent": "c", "source": "c",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := fields.Set{"metadata.name": "a", "metadata.namespace": "b"}
			for label, value := range test.want {
				want[label] = value
			}
			got := apis.SelectableFields(test.obj)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for label := range got {
				if _, _, err := apis.Scheme.ConvertFieldLabel(test.gvk, label, ""); err != nil {
					t.Errorf("%s cannot be selected: %v", label, err)
				}
			}
			if _, _, err := apis.Scheme.ConvertFieldLabel(test.gvk, "spec.other", ""); err == nil {
				t.Error("any field can be selected")
			}
		})
	}
}
