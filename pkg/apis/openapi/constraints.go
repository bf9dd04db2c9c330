package openapi

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// typePrefixes are where the names of definitions begin whose types only kinds with CustomResourceDefinitions use:
// upstream's and ours.
var typePrefixes = []string{"sigs.k8s.io/gateway-api/", "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/"}

func isGatewayType(name string) bool {
	return slices.ContainsFunc(typePrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// listMarkers are the extensions that say how lists and maps merge.
var listMarkers = []string{"x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"}

// A completer adds the constraints of CustomResourceDefinitions, where all types are spelled out, to generated
// definitions, which refer to each other. A type has the definition that the first place that uses it asks for. A later
// place that asks for something else, such as an older version of a kind that has fewer values for a field, gets what
// it asks for spelled out.
type completer struct {
	generated map[string]common.OpenAPIDefinition
	names     map[string]string // of definitions, by reference
	completed map[string]spec.Schema
}

// complete completes the definition of a kind and those of the types that it uses.
func (c *completer) complete(name string, constraint *spec.Schema) {
	c.completed[name] = c.constrain(c.generated[name].Schema, constraint)
}

// describe gives the definition of a kind that has no description that of its hub.
func (c *completer) describe(name, hub string) {
	if definition := c.completed[name]; definition.Description == "" {
		definition.Description = c.completed[hub].Description
		c.completed[name] = definition
	}
}

// constrain returns definition with what constraint demands. What constraint doesn't mention stays as it is.
func (c *completer) constrain(definition spec.Schema, constraint *spec.Schema) spec.Schema {
	definition.Default = constraint.Default
	if name, ok := c.names[definition.Ref.String()]; ok {
		return c.refer(definition, name, constraint)
	}
	definition.Format = constraint.Format
	definition.Enum = constraint.Enum
	definition.Pattern = constraint.Pattern
	definition.MinLength, definition.MaxLength = constraint.MinLength, constraint.MaxLength
	definition.Minimum, definition.Maximum = constraint.Minimum, constraint.Maximum
	definition.MinItems, definition.MaxItems = constraint.MinItems, constraint.MaxItems
	definition.MinProperties, definition.MaxProperties = constraint.MinProperties, constraint.MaxProperties
	definition.Required = constraint.Required
	definition.Extensions = maps.Clone(definition.Extensions)
	for _, marker := range listMarkers {
		if value, ok := constraint.Extensions[marker]; ok {
			definition.AddExtension(marker, value)
		} else {
			delete(definition.Extensions, marker)
		}
	}

	definition.Properties = maps.Clone(definition.Properties)
	for name, property := range definition.Properties {
		if part, ok := constraint.Properties[name]; ok {
			definition.Properties[name] = c.constrain(property, &part)
		}
	}
	if definition.Items != nil && constraint.Items != nil {
		items := c.constrain(*definition.Items.Schema, constraint.Items.Schema)
		definition.Items = &spec.SchemaOrArray{Schema: &items}
	}
	if definition.AdditionalProperties != nil && constraint.AdditionalProperties != nil {
		values := c.constrain(*definition.AdditionalProperties.Schema, constraint.AdditionalProperties.Schema)
		definition.AdditionalProperties = &spec.SchemaOrBool{Allows: true, Schema: &values}
	}
	return definition
}

// refer returns reference, which is to the type of that name, if the definition of the type is what constraint demands,
// and otherwise what constraint demands.
func (c *completer) refer(reference spec.Schema, name string, constraint *spec.Schema) spec.Schema {
	if !isGatewayType(name) {
		return reference // a type of Kubernetes, whose definition says all
	}
	own := *constraint
	own.Default = nil // of the place, not of the type
	shared, ok := c.completed[name]
	if !ok {
		c.completed[name] = c.constrain(c.generated[name].Schema, &own)
		return reference
	}
	spelledOut := c.constrain(shared, &own)
	if reflect.DeepEqual(spelledOut, shared) {
		return reference
	}
	spelledOut.Description, spelledOut.Default = reference.Description, reference.Default
	return spelledOut
}

// dependencies returns the names of the definitions that schema refers to.
func (c *completer) dependencies(schema *spec.Schema) []string {
	if name, ok := c.names[schema.Ref.String()]; ok {
		return []string{name}
	}
	var names []string
	for _, property := range schema.Properties {
		names = append(names, c.dependencies(&property)...)
	}
	if schema.Items != nil {
		names = append(names, c.dependencies(schema.Items.Schema)...)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		names = append(names, c.dependencies(schema.AdditionalProperties.Schema)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
