package crd

import (
	"math/rand"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/randfill"
)

var gatewayVersion = schema.GroupVersion(gatewayv1.GroupVersion)

// newObject makes an object of each kind.
var newObject = map[string]func() runtime.Object{
	"GatewayClass":   func() runtime.Object { return &gatewayv1.GatewayClass{} },
	"Gateway":        func() runtime.Object { return &gatewayv1.Gateway{} },
	"HTTPRoute":      func() runtime.Object { return &gatewayv1.HTTPRoute{} },
	"GRPCRoute":      func() runtime.Object { return &gatewayv1.GRPCRoute{} },
	"ReferenceGrant": func() runtime.Object { return &gatewayv1.ReferenceGrant{} },
}

func TestEveryKindIsTested(t *testing.T) {
	t.Parallel()
	for gvk := range schemas() {
		if newObject[gvk.Kind] == nil {
			t.Errorf("%v is not tested", gvk)
		}
	}
}

// TestDefaultFuzz compares the defaults of random objects with those that the library sets: the walk over the typed
// object that spares the library's work must never find too little missing.
func TestDefaultFuzz(t *testing.T) {
	t.Parallel()
	for kind, newObject := range newObject {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			seed := rand.Int63()
			filler := randfill.NewWithSeed(seed).NilChance(0.3).NumElements(0, 2)
			s := Lookup(gatewayVersion.WithKind(kind))
			for range 200 {
				obj := newObject()
				filler.Fill(specPart.of(obj).Addr().Interface())
				want := libraryDefaults(t, s, obj)
				for _, pass := range []string{"first", "second"} {
					s.Default(obj)
					got, err := runtime.DefaultUnstructuredConverter.ToUnstructured(specPart.of(obj).Addr().Interface())
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("seed %d, %s time (-library +got):\n%s", seed, pass, diff)
					}
				}
				if s.defaults.missing(specPart.of(obj)) {
					t.Fatalf("seed %d: an object with defaults misses some", seed)
				}
			}
		})
	}
}

func libraryDefaults(t *testing.T, s *Schema, obj runtime.Object) map[string]any {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(specPart.of(obj.DeepCopyObject()).Addr().Interface())
	if err != nil {
		t.Fatal(err)
	}
	specSchema := s.structural.Properties["spec"]
	defaulting.PruneNonNullableNullsWithoutDefaults(content, &specSchema)
	defaulting.Default(content, &specSchema)
	// Typed, as nulls and empty lists are the same there.
	typed := reflect.New(specPart.of(obj).Type()).Interface()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, typed); err != nil {
		t.Fatal(err)
	}
	content, err = runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		t.Fatal(err)
	}
	return content
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
	Lookup(gatewayVersion.WithKind("Gateway")).Default(obj)
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
	Lookup(gatewayVersion.WithKind("Gateway")).Default(empty)
	if diff := cmp.Diff(gatewayv1.GatewayStatus{}, empty.Status); diff != "" {
		t.Errorf("status of an empty Gateway:\n%s", diff)
	}
}

// BenchmarkDefault is the cost of an object from the store, which has its defaults.
func BenchmarkDefault(b *testing.B) {
	s := Lookup(gatewayVersion.WithKind("HTTPRoute"))
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
	Lookup(schema.GroupVersion(gatewayv1.GroupVersion).WithKind("Gateway")).SetInitialStatus(gateway)
	if len(gateway.Status.Conditions) != 2 || gateway.Status.Conditions[0].Reason != "Pending" || gateway.Status.Conditions[0].Status != "Unknown" {
		t.Errorf("Gateway: %+v", gateway.Status)
	}
	route := &gatewayv1.HTTPRoute{}
	Lookup(schema.GroupVersion(gatewayv1.GroupVersion).WithKind("HTTPRoute")).SetInitialStatus(route)
	if route.Status.Parents != nil {
		t.Errorf("HTTPRoute: %+v", route.Status)
	}
}
