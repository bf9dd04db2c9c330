package registry

import (
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
)

// Endpoint serves a store in one version of its kind: by that version's names, rules and columns.
type Endpoint struct {
	*genericregistry.Store
	Version *Version
	// reached is a revision that etcd has had, for Watch.
	reached atomic.Uint64
}

var (
	_ rest.ShortNamesProvider   = &Endpoint{}
	_ rest.CategoriesProvider   = &Endpoint{}
	_ rest.SingularNameProvider = &Endpoint{}
)

// In returns the endpoint of one of the kind's versions. It shares what s stores.
func (s *Store) In(v *Version) *Endpoint {
	if v == s.Kind.Stored() {
		return s.Endpoint
	}
	shared := *s.Store
	shared.DestroyFunc = nil // s does it, once
	return newEndpoint(s.Kind, &shared, v, s.model)
}

// newEndpoint completes store with what v says.
func newEndpoint(kind *Kind, store *genericregistry.Store, v *Version, model Model) *Endpoint {
	strategy := strategy{NameGenerator: names.SimpleNameGenerator, kind: kind, version: v, model: model}
	store.DefaultQualifiedResource = v.GroupResource()
	store.SingularQualifiedResource = schema.GroupResource{Group: v.Group, Resource: v.Singular}
	store.CreateStrategy, store.UpdateStrategy, store.DeleteStrategy = strategy, strategy, strategy
	store.ResetFieldsStrategy = strategy
	store.TableConvertor = v.Columns
	return &Endpoint{Store: store, Version: v}
}

// NewList implements rest.Lister. The lists themselves are of the hub's type: this one tells how they are called.
func (e *Endpoint) NewList() runtime.Object { return e.Version.NewList() }

// ShortNames implements rest.ShortNamesProvider.
func (e *Endpoint) ShortNames() []string { return e.Version.ShortNames }

// Categories implements rest.CategoriesProvider.
func (e *Endpoint) Categories() []string { return e.Version.Categories }

// GetSingularName implements rest.SingularNameProvider.
func (e *Endpoint) GetSingularName() string { return e.Version.Singular }
