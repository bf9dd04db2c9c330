package registry

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
)

// ReadOnlyEndpoint serves a store to clients that only read.
type ReadOnlyEndpoint struct{ reader }

// reader is what an Endpoint has of rest.Storage that writes nothing.
type reader interface {
	rest.Storage
	rest.StorageVersionProvider
	rest.Scoper
	rest.Getter
	rest.Lister
	rest.Watcher
	rest.ShortNamesProvider
	rest.CategoriesProvider
	rest.SingularNameProvider
}

// NewReadOnlyEndpoint makes the read-only side of e.
func NewReadOnlyEndpoint(e *Endpoint) *ReadOnlyEndpoint { return &ReadOnlyEndpoint{e} }

// Put calls update with a copy of the stored object, or with a new one that has only a name, and writes what update made of it;
// nothing if that is what is stored. If update returns an error, Put returns it, and nothing is written. On a conflict update is
// called again. It goes past admission and validation, as UpdateStatus does.
func (s *Store) Put(ctx context.Context, name types.NamespacedName, update func(runtime.Object) error) error {
	key, err := s.KeyFunc(genericapirequest.WithNamespace(ctx, name.Namespace), name.Name)
	if err != nil {
		return err
	}
	err = s.Storage.GuaranteedUpdate(ctx, key, s.NewFunc(), true, nil, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		obj = obj.DeepCopyObject()
		m, ok := obj.(metav1.Object)
		if !ok {
			return nil, fmt.Errorf("%T has no metadata", obj)
		}
		if m.GetUID() == "" {
			m.SetNamespace(name.Namespace)
			m.SetName(name.Name)
			rest.FillObjectMetaSystemFields(m)
		}
		return obj, update(obj)
	}), false, nil)
	return storeerr.InterpretUpdateError(err, s.DefaultQualifiedResource, name.String())
}

// Remove deletes an object at once, if check returns no error, called with the object as it is stored. If it does, Remove returns
// it. What isn't there is removed.
func (s *Store) Remove(ctx context.Context, name types.NamespacedName, check func(runtime.Object) error) error {
	key, err := s.KeyFunc(genericapirequest.WithNamespace(ctx, name.Namespace), name.Name)
	if err != nil {
		return err
	}
	err = s.Storage.Delete(ctx, key, s.NewFunc(), nil, func(_ context.Context, obj runtime.Object) error { return check(obj) }, false, nil, storage.DeleteOptions{})
	if storage.IsNotFound(err) {
		return nil
	}
	return storeerr.InterpretDeleteError(err, s.DefaultQualifiedResource, name.String())
}
