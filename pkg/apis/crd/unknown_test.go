package crd_test

import (
	"math/rand"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/randfill"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

func TestUnknown(t *testing.T) {
	t.Parallel()
	v1alpha2 := apis.GatewayV1alpha2.WithKind("HTTPRoute")
	for name, test := range map[string]struct {
		schema *crd.Schema
		obj    *gatewayv1.HTTPRoute
		want   []string
	}{
		"nothing": {crd.Lookup(v1alpha2), route(func(*gatewayv1.HTTPRoute) {}), nil},
		"known":   {lookup("HTTPRoute"), route(withRetry(3)), nil},
		"of the other channel": {
			crd.Standard(gatewayVersion.WithKind("HTTPRoute")),
			route(func(r *gatewayv1.HTTPRoute) {
				withRetry(3)(r)
				r.Spec.UseDefaultGateways = gatewayv1.GatewayDefaultScopeAll
			}),
			[]string{"spec.rules[0].retry", "spec.useDefaultGateways"},
		},
		"of a later version": {
			crd.Lookup(v1alpha2),
			route(func(r *gatewayv1.HTTPRoute) {
				r.Spec.Rules = append(r.Spec.Rules, gatewayv1.HTTPRouteRule{
					Name:     new(gatewayv1.SectionName("second")),
					Timeouts: &gatewayv1.HTTPRouteTimeouts{Request: new(gatewayv1.Duration("1s"))},
				})
			}),
			[]string{"spec.rules[1].name", "spec.rules[1].timeouts"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := test.obj.DeepCopy()
			if diff := cmp.Diff(test.want, test.schema.Unknown(test.obj)); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, test.obj); diff != "" {
				t.Errorf("the object was changed:\n%s", diff)
			}
		})
	}
}

// TestUnknownFuzz compares what is unknown in random objects with what the library prunes: the walk over the typed object
// that spares the library's work must never find too little.
func TestUnknownFuzz(t *testing.T) {
	t.Parallel()
	eachObject(t, func(t *testing.T, s *crd.Schema, newObject func() runtime.Object) {
		seed := rand.Int63()
		filler := randfill.NewWithSeed(seed).NilChance(0.5).NumElements(0, 2)
		for range 50 {
			obj := newObject()
			filler.Fill(specOf(obj))
			if diff := cmp.Diff(libraryUnknown(t, s, obj), s.Unknown(obj), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("seed %d (-library +got):\n%s", seed, diff)
			}
		}
	})
}

func libraryUnknown(t *testing.T, s *crd.Schema, obj runtime.Object) []string {
	t.Helper()
	object := map[string]any{"spec": content(t, specOf(obj))}
	defaulting.PruneNonNullableNullsWithoutDefaults(object, s.Structural())
	return pruning.PruneWithOptions(object, s.Structural(), true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
}
