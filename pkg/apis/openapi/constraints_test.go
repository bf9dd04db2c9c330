package openapi

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

// unknown are fields of retired CustomResourceDefinitions that no Go type has any more.
var unknown = []string{"GRPCRoute.spec.rules[].sessionPersistence.idleTimeout"}

// TestConstraints walks each CustomResourceDefinition and what is published for its version of a kind side by side: a
// field that the one has the other has too, with the same constraints, however often a type is used.
func TestConstraints(t *testing.T) {
	t.Parallel()
	names := map[string]string{}
	definitions := GetOpenAPIDefinitions(func(name string) spec.Ref {
		ref := spec.MustCreateRef("#/" + common.EscapeJsonPointer(name))
		names[ref.String()] = name
		return ref
	})
	for _, version := range slices.Concat(apis.DefinedKinds...) {
		t.Run(version.GroupVersionKind.String(), func(t *testing.T) {
			t.Parallel()
			var walk func(path string, published, want *spec.Schema)
			walk = func(path string, published, want *spec.Schema) {
				if name, ok := names[published.Ref.String()]; ok {
					if !cmp.Equal(published.Default, want.Default) {
						t.Errorf("%s: default %v, expected %v", path, published.Default, want.Default)
					}
					if !isGatewayType(name) {
						return // metadata and its like are Kubernetes' own
					}
					target := definitions[name].Schema
					if target.Default != nil {
						t.Errorf("%s: %s has the default of a place", path, name)
					}
					published = &target
				} else {
					compare(t, path, published, want)
				}
				for name, constraint := range want.Properties {
					property, ok := published.Properties[name]
					if !ok {
						if !slices.Contains(unknown, path+"."+name) {
							t.Errorf("%s.%s is not published", path, name)
						}
						continue
					}
					walk(path+"."+name, &property, &constraint)
				}
				if want.Items != nil {
					walk(path+"[]", published.Items.Schema, want.Items.Schema)
				}
				if want.AdditionalProperties != nil {
					walk(path+"{}", published.AdditionalProperties.Schema, want.AdditionalProperties.Schema)
				}
			}
			root := definitions[util.GetCanonicalTypeName(version.New())].Schema
			walk(version.Kind, &root, crd.Lookup(version.GroupVersionKind).OpenAPI())
		})
	}
}

func compare(t *testing.T, path string, published, want *spec.Schema) {
	t.Helper()
	if diff := cmp.Diff(constraintsOf(t, want), constraintsOf(t, published)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// constraintsOf returns what a schema says of its value by itself, as JSON.
func constraintsOf(t *testing.T, s *spec.Schema) string {
	t.Helper()
	own := spec.Schema{SchemaProps: spec.SchemaProps{
		Type: s.Type, Format: s.Format, Default: s.Default, Enum: s.Enum, Pattern: s.Pattern, Required: s.Required,
		MinLength: s.MinLength, MaxLength: s.MaxLength, Minimum: s.Minimum, Maximum: s.Maximum,
		MinItems: s.MinItems, MaxItems: s.MaxItems, MinProperties: s.MinProperties, MaxProperties: s.MaxProperties,
	}}
	for _, marker := range listMarkers {
		if value, ok := s.Extensions[marker]; ok {
			own.AddExtension(marker, value)
		}
	}
	data, err := json.Marshal(own)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
