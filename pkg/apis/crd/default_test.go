package crd_test

import (
	"math/rand"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/randfill"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

// TestDefaultFuzz compares the defaults of random objects with those that the library sets: the walk over the typed
// object that spares the library's work must never find too little missing.
func TestDefaultFuzz(t *testing.T) {
	t.Parallel()
	eachObject(t, func(t *testing.T, s *crd.Schema, newObject func() runtime.Object) {
		seed := rand.Int63()
		filler := randfill.NewWithSeed(seed).NilChance(0.3).NumElements(0, 2)
		for range 50 {
			obj := newObject()
			filler.Fill(specOf(obj))
			want := libraryDefaults(t, s, obj)
			for _, pass := range []string{"first", "second"} {
				s.Default(obj)
				if diff := cmp.Diff(want, throughTyped(t, content(t, specOf(obj)), obj)); diff != "" {
					t.Fatalf("seed %d, %s time (-library +got):\n%s", seed, pass, diff)
				}
			}
			if s.Misses(obj) {
				t.Fatalf("seed %d: an object with defaults misses some", seed)
			}
		}
	})
}

// eachObject runs a test for every kind and version, with objects of its own type and with those of the hub's, if it is
// a conversion of that.
func eachObject(t *testing.T, run func(t *testing.T, s *crd.Schema, newObject func() runtime.Object)) {
	for _, kind := range slices.Concat(apis.GatewayKinds, apis.OwnKinds) {
		for _, v := range kind {
			t.Run(v.String(), func(t *testing.T) {
				t.Parallel()
				run(t, crd.Lookup(v.GroupVersionKind), v.New)
				if reflect.TypeOf(specOf(v.New())) == reflect.TypeOf(specOf(kind.Hub().New())) {
					run(t, crd.Lookup(v.GroupVersionKind), kind.Hub().New)
				}
			})
		}
	}
}

// specOf returns a pointer to the spec of obj.
func specOf(obj runtime.Object) any {
	return reflect.ValueOf(obj).Elem().FieldByName("Spec").Addr().Interface()
}

func content(t *testing.T, value any) map[string]any {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(value)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func libraryDefaults(t *testing.T, s *crd.Schema, obj runtime.Object) map[string]any {
	t.Helper()
	spec, specSchema := content(t, specOf(obj.DeepCopyObject())), s.Structural().Properties["spec"]
	defaulting.PruneNonNullableNullsWithoutDefaults(spec, &specSchema)
	defaulting.Default(spec, &specSchema)
	return throughTyped(t, spec, obj)
}

// throughTyped returns a spec as it is after being that of an object like obj, where nulls and empty lists are the same.
func throughTyped(t *testing.T, spec map[string]any, obj runtime.Object) map[string]any {
	t.Helper()
	typed := reflect.New(reflect.TypeOf(specOf(obj)).Elem()).Interface()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(spec, typed); err != nil {
		t.Fatal(err)
	}
	return content(t, typed)
}

// TestDefaultKeeps holds that defaulting has no business outside of spec.
func TestDefaultKeeps(t *testing.T) {
	t.Parallel()
	obj := &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Name: "a"},
		Spec:       gatewayv1.GatewaySpec{Listeners: []gatewayv1.Listener{{Name: "http"}}},
		Status:     gatewayv1.GatewayStatus{Conditions: []metav1.Condition{{Type: "Accepted"}}},
	}
	want := obj.DeepCopy()
	lookup("Gateway").Default(obj)
	if diff := cmp.Diff(want.ObjectMeta, obj.ObjectMeta); diff != "" {
		t.Errorf("metadata:\n%s", diff)
	}
	if diff := cmp.Diff(want.Status, obj.Status); diff != "" {
		t.Errorf("status:\n%s", diff)
	}
	if routes := obj.Spec.Listeners[0].AllowedRoutes; routes == nil || routes.Namespaces == nil || *routes.Namespaces.From != gatewayv1.NamespacesFromSame {
		t.Errorf("allowedRoutes %v, expected the routes of the same namespace", routes)
	}
	empty := &gatewayv1.Gateway{}
	lookup("Gateway").Default(empty)
	if diff := cmp.Diff(gatewayv1.GatewayStatus{}, empty.Status); diff != "" {
		t.Errorf("status of an empty Gateway:\n%s", diff)
	}
}

// BenchmarkDefault is the cost of an object from the store, which has its defaults.
func BenchmarkDefault(b *testing.B) {
	s := lookup("HTTPRoute")
	route := &gatewayv1.HTTPRoute{Spec: gatewayv1.HTTPRouteSpec{
		CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "gateway"}}},
		Rules: []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{
			{BackendRef: gatewayv1.BackendRef{BackendObjectReference: gatewayv1.BackendObjectReference{Name: "backend"}}},
		}}},
	}}
	s.Default(route)
	b.ReportAllocs()
	for b.Loop() {
		s.Default(route)
	}
}

func TestSetInitialStatus(t *testing.T) {
	t.Parallel()
	gateway := &gatewayv1.Gateway{}
	lookup("Gateway").SetInitialStatus(gateway)
	if len(gateway.Status.Conditions) != 2 || gateway.Status.Conditions[0].Reason != "Pending" || gateway.Status.Conditions[0].Status != "Unknown" {
		t.Errorf("Gateway: %+v", gateway.Status)
	}
	route := &gatewayv1.HTTPRoute{}
	lookup("HTTPRoute").SetInitialStatus(route)
	if route.Status.Parents == nil || len(route.Status.Parents) != 0 {
		t.Errorf("HTTPRoute: %#v, expected an empty list", route.Status)
	}
	grant := &gatewayv1.ReferenceGrant{}
	lookup("ReferenceGrant").SetInitialStatus(grant) // has no status
}
