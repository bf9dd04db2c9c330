package openapi

import (
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gateway "sigs.k8s.io/gateway-api/pkg/generated/openapi"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

// gatewayTypes is where the definitions begin whose types only Gateway API kinds use.
const gatewayTypes = "sigs.k8s.io/gateway-api/"

// listMarkers are the extensions that say how lists and maps merge.
var listMarkers = []string{"x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"}

// constraints returns for each Gateway API definition the part of a CustomResourceDefinition's schema that its type
// has generated. A type that is used in several places has the same part in all of them.
var constraints = sync.OnceValue(func() map[string]*spec.Schema {
	names := map[string]string{} // by reference
	definitions := gateway.GetOpenAPIDefinitions(func(name string) spec.Ref {
		ref := spec.MustCreateRef("#/" + common.EscapeJsonPointer(name))
		names[ref.String()] = name
		return ref
	})
	v1, found := schema.GroupVersion(gatewayv1.GroupVersion), map[string]*spec.Schema{}
	var collect func(definition, constraint *spec.Schema)
	collect = func(definition, constraint *spec.Schema) {
		if name, ok := names[definition.Ref.String()]; ok {
			if found[name] != nil || !strings.HasPrefix(name, gatewayTypes) {
				return
			}
			target := definitions[name].Schema
			found[name], definition = constraint, &target
		}
		eachPart(definition, constraint, collect)
	}
	for name := range definitions {
		kind, ok := strings.CutPrefix(name, gatewayTypes+"apis/v1.")
		if !ok {
			continue
		}
		if s := crd.Lookup(v1.WithKind(kind)); s != nil {
			root := spec.Schema{SchemaProps: spec.SchemaProps{Ref: spec.MustCreateRef("#/" + common.EscapeJsonPointer(name))}}
			names[root.Ref.String()] = name
			collect(&root, s.OpenAPI())
		}
	}
	return found
})

// constrain completes a definition with what constraint demands. What is only referred to has its own definition, so
// that a default is all that can be said of it here.
func constrain(definition, constraint *spec.Schema) {
	definition.Default = constraint.Default
	if definition.Ref.String() != "" {
		return
	}
	definition.Format = constraint.Format
	definition.Enum = constraint.Enum
	definition.Pattern = constraint.Pattern
	definition.MinLength, definition.MaxLength = constraint.MinLength, constraint.MaxLength
	definition.Minimum, definition.Maximum = constraint.Minimum, constraint.Maximum
	definition.MinItems, definition.MaxItems = constraint.MinItems, constraint.MaxItems
	definition.MinProperties, definition.MaxProperties = constraint.MinProperties, constraint.MaxProperties
	definition.Required = constraint.Required
	for _, marker := range listMarkers {
		if value, ok := constraint.Extensions[marker]; ok {
			definition.AddExtension(marker, value)
		} else {
			delete(definition.Extensions, marker)
		}
	}
	eachPart(definition, constraint, constrain)
}

// eachPart calls do with each property, the items and the additional properties of a definition, and their
// constraints. It may change them.
func eachPart(definition, constraint *spec.Schema, do func(definition, constraint *spec.Schema)) {
	for name, property := range definition.Properties {
		if part, ok := constraint.Properties[name]; ok {
			do(&property, &part)
			definition.Properties[name] = property
		}
	}
	if definition.Items != nil && constraint.Items != nil {
		do(definition.Items.Schema, constraint.Items.Schema)
	}
	if definition.AdditionalProperties != nil && constraint.AdditionalProperties != nil {
		do(definition.AdditionalProperties.Schema, constraint.AdditionalProperties.Schema)
	}
}
