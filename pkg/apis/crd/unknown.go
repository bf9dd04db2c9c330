package crd

import (
	"fmt"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apimachinery/pkg/runtime"
)

// Unknown returns the sorted paths of the fields that the spec of obj has set and the schema doesn't define, such as
// "spec.rules[0].retry". A field inside of one that is returned is not. An apiserver with the CustomResourceDefinition
// would have dropped them from a request.
func (s *Schema) Unknown(obj runtime.Object) []string { return s.unknown(obj, specPart) }

func (s *Schema) unknown(obj runtime.Object, part part) []string {
	value := part.of(obj)
	if !s.plansFor(part, value.Type()).unknown.any(value, isSet) {
		return nil
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(value.Addr().Interface())
	if err != nil {
		panic(fmt.Sprintf("reading %v: %v", s.gvk, err)) // a Go type that is none of an API
	}
	schema := s.part(part)
	defaulting.PruneNonNullableNullsWithoutDefaults(content, schema)
	return pruning.PruneWithOptions(content, schema, false, structuralschema.UnknownFieldPathOptions{
		TrackUnknownFieldPaths: true,
		ParentPath:             []string{part.key},
	})
}
