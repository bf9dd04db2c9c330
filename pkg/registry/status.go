package registry

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// StatusEndpoint serves the status subresource of a store, for the controllers that share an object with us.
type StatusEndpoint struct {
	store    genericregistry.Store // a copy, with the status strategy
	strategy statusStrategy
}

var (
	_ rest.Patcher             = &StatusEndpoint{}
	_ rest.TableConvertor      = &StatusEndpoint{}
	_ rest.ResetFieldsStrategy = &StatusEndpoint{}
)

// NewStatusEndpoint makes the status subresource of e.
func NewStatusEndpoint(e *Endpoint) *StatusEndpoint {
	s := &StatusEndpoint{store: *e.Store, strategy: statusStrategy{e.CreateStrategy.(strategy)}}
	s.store.UpdateStrategy, s.store.ResetFieldsStrategy = s.strategy, s.strategy
	return s
}

// New implements rest.Storage.
func (e *StatusEndpoint) New() runtime.Object { return e.store.New() }

// Destroy implements rest.Storage. The store that this is part of has the resources.
func (e *StatusEndpoint) Destroy() {}

// Get implements rest.Getter.
func (e *StatusEndpoint) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return e.store.Get(ctx, name, options)
}

// Update implements rest.Updater. It never creates.
func (e *StatusEndpoint) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc,
	updateValidation rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return e.store.Update(ctx, name, info, createValidation, updateValidation, false, options)
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (e *StatusEndpoint) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return e.strategy.GetResetFields()
}

// ConvertToTable implements rest.TableConvertor.
func (e *StatusEndpoint) ConvertToTable(ctx context.Context, object, options runtime.Object) (*metav1.Table, error) {
	return e.store.ConvertToTable(ctx, object, options)
}
