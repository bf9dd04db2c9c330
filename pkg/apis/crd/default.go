package crd

import (
	"fmt"
	"reflect"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apimachinery/pkg/runtime"
)

// Default sets the defaults of the spec of obj. It leaves metadata, which has none, and status, which the server renders.
//
// An object that comes out of the store has its defaults, so the common case is to find nothing missing.
func (s *Schema) Default(obj runtime.Object) {
	value := specPart.of(obj)
	if s.plansFor(specPart, value.Type()).defaults.any(value, isEmpty) {
		s.complete(value, s.part(specPart))
	}
}

// DefaultStatus sets the defaults of the status of obj, for a status that a client has written: kind and group of the
// parentRef of a route's parent, for example.
func (s *Schema) DefaultStatus(obj runtime.Object) {
	s.complete(statusPart.of(obj), s.part(statusPart))
}

// complete sets the defaults of schema in value, by way of JSON values. The Go types have the fields of the schemas, and
// a test converts all of upstream's examples: an error here is a mistake of this program.
func (s *Schema) complete(value reflect.Value, schema *structuralschema.Structural) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(value.Addr().Interface())
	if err != nil {
		panic(fmt.Sprintf("defaulting %v: %v", s.gvk, err))
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(content, schema)
	defaulting.Default(content, schema)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, value.Addr().Interface()); err != nil {
		panic(fmt.Sprintf("defaulting %v: %v", s.gvk, err))
	}
}

// SetInitialStatus gives obj, whose status is empty, the status that the schema has as default: for a Gateway, that it
// waits for its controller (conditions Unknown, reason Pending). An object of another controller's class keeps it until
// that controller writes. Lists that the schema requires are empty without one, as a typed object has them in any case,
// and null is no list.
func (s *Schema) SetInitialStatus(obj runtime.Object) {
	schema := s.part(statusPart)
	initial, ok := schema.Default.Object.(map[string]any)
	if !ok {
		initial = map[string]any{}
		if schema.ValueValidation != nil {
			for _, name := range schema.ValueValidation.Required {
				if schema.Properties[name].Type == "array" {
					initial[name] = []any{}
				}
			}
		}
	}
	if len(initial) == 0 {
		return
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(initial, statusPart.of(obj).Addr().Interface()); err != nil {
		panic(fmt.Sprintf("initial status of %v: %v", s.gvk, err))
	}
}
