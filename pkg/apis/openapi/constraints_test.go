package openapi

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

// TestConstraints walks each CustomResourceDefinition and what is published for its kind side by side: a field that one
// has the other has too, with the same constraints, however often a type is used.
func TestConstraints(t *testing.T) {
	t.Parallel()
	names := map[string]string{}
	definitions := GetOpenAPIDefinitions(func(name string) spec.Ref {
		ref := spec.MustCreateRef("#/" + common.EscapeJsonPointer(name))
		names[ref.String()] = name
		return ref
	})
	for _, kind := range []string{"GatewayClass", "Gateway", "HTTPRoute", "GRPCRoute", "ReferenceGrant"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var walk func(path string, published, want *spec.Schema)
			walk = func(path string, published, want *spec.Schema) {
				if name, ok := names[published.Ref.String()]; ok {
					if !cmp.Equal(published.Default, want.Default) {
						t.Errorf("%s: default %v, expected %v", path, published.Default, want.Default)
					}
					if !strings.HasPrefix(name, gatewayTypes) {
						return // metadata and its like are Kubernetes' own
					}
					target := definitions[name].Schema
					published = &target
				} else {
					compare(t, path, published, want)
				}
				for name := range want.Properties {
					property, ok := published.Properties[name]
					if !ok {
						t.Errorf("%s.%s is not published", path, name)
						continue
					}
					constraint := want.Properties[name]
					walk(path+"."+name, &property, &constraint)
				}
				if want.Items != nil {
					walk(path+"[]", published.Items.Schema, want.Items.Schema)
				}
			}
			root := definitions["sigs.k8s.io/gateway-api/apis/v1."+kind].Schema
			walk(kind, &root, crd.Lookup(schema.GroupVersion(gatewayv1.GroupVersion).WithKind(kind)).OpenAPI())
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
		MinItems: s.MinItems, MaxItems: s.MaxItems,
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
