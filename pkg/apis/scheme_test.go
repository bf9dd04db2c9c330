package apis_test

import (
	"math/rand"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
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
)

// fuzzers fill objects with anything and set their defaults, as decoding them would.
func fuzzers(serializer.CodecFactory) []any {
	return []any{
		defaulted[gatewayv1.GatewayClass], defaulted[gatewayv1.Gateway], defaulted[gatewayv1.HTTPRoute],
		defaulted[gatewayv1.GRPCRoute], defaulted[gatewayv1.ReferenceGrant], defaulted[corev1.Namespace],
		defaulted[corev1.Service], defaulted[corev1.Secret], defaulted[discoveryv1.EndpointSlice],
	}
}

func defaulted[T any](obj *T, c randfill.Continue) {
	c.FillNoCustom(obj)
	apis.Scheme.Default(any(obj).(runtime.Object))
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

// TestVersions holds that storage and clients get the versions that are served, with the type of the hub.
func TestVersions(t *testing.T) {
	t.Parallel()
	for _, obj := range []runtime.Object{&gatewayv1.HTTPRoute{}, &corev1.Service{}, &discoveryv1.EndpointSlice{}} {
		gvks, _, err := apis.Scheme.ObjectKinds(obj)
		if err != nil || len(gvks) != 2 {
			t.Fatalf("%T: %v, %v; expected a version and __internal", obj, gvks, err)
		}
		versions := apis.Scheme.PrioritizedVersionsForGroup(gvks[0].Group)
		if diff := cmp.Diff([]schema.GroupVersion{{Group: gvks[0].Group, Version: "v1"}}, versions); diff != "" {
			t.Errorf("%T: versions (-want +got):\n%s", obj, diff)
		}
		if gvks, _, err := apis.VersionedScheme.ObjectKinds(obj); err != nil || len(gvks) != 1 {
			t.Errorf("%T: %v, %v; expected one kind in VersionedScheme", obj, gvks, err)
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
