package crd

import (
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
)

// Served returns what Lookup knows.
func Served() sets.Set[schema.GroupVersionKind] { return sets.KeySet(index()) }

func (s *Schema) Structural() *structuralschema.Structural { return s.structure.parse().structural }

// Misses says whether obj seems to miss defaults.
func (s *Schema) Misses(obj runtime.Object) bool {
	value := specPart.of(obj)
	return s.plansFor(specPart, value.Type()).defaults.any(value, isEmpty)
}

// Accepting returns s with a fast path.
func (s *Schema) Accepting(accepts func(spec any) bool) *Schema {
	return &Schema{gvk: s.gvk, scope: s.scope, structure: s.structure, accepts: accepts}
}
