package registry

import (
	"context"
	"fmt"
	"strings"

	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/util/dryrun"
)

// Store keeps the objects of one kind, for all versions in which the kind is served. It is itself an Endpoint of the
// stored version.
type Store struct {
	*Endpoint
	Kind  *Kind
	model Model // nil for kinds of which nothing is said
	// transformer encrypts what is stored. Nil if nothing does.
	transformer value.Transformer
}

// NewStore makes the store of a kind. model may be nil: then nothing is said in status.
func NewStore(kind *Kind, options generic.RESTOptionsGetter, model Model) (*Store, error) {
	store := &genericregistry.Store{
		NewFunc:     kind.New,
		NewListFunc: kind.NewList,
	}
	endpoint := newEndpoint(kind, store, kind.Stored(), model)
	if kind.TTLSeconds != 0 {
		store.TTLFunc = func(runtime.Object, uint64, bool) (uint64, error) { return kind.TTLSeconds, nil }
	}
	if kind.Emptied != nil {
		store.ShouldDeleteDuringUpdate = func(_ context.Context, _ string, obj, _ runtime.Object) bool { return kind.Emptied(obj) }
	}
	if model != nil {
		connect(store, model)
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: options, AttrFunc: kind.Attributes}); err != nil {
		return nil, fmt.Errorf("storage of %s: %w", kind.Stored().GroupResource(), err)
	}
	rest, err := options.GetRESTOptions(store.DefaultQualifiedResource, kind.New())
	if err != nil {
		return nil, fmt.Errorf("storage of %s: %w", kind.Stored().GroupResource(), err)
	}
	return &Store{Endpoint: endpoint, Kind: kind, model: model, transformer: rest.StorageConfig.Transformer}, nil
}

// connect makes the store wait for the model before a write, and tell it afterwards.
func connect(store *genericregistry.Store, model Model) {
	sync := func(ctx context.Context, obj runtime.Object) (genericregistry.FinishFunc, error) {
		return func(context.Context, bool) {}, model.Sync(ctx, obj)
	}
	store.BeginCreate = func(ctx context.Context, obj runtime.Object, _ *metav1.CreateOptions) (genericregistry.FinishFunc, error) {
		return sync(ctx, obj)
	}
	store.BeginUpdate = func(ctx context.Context, obj, _ runtime.Object, _ *metav1.UpdateOptions) (genericregistry.FinishFunc, error) {
		return sync(ctx, obj)
	}
	store.AfterCreate = func(obj runtime.Object, o *metav1.CreateOptions) {
		if !dryrun.IsDryRun(o.DryRun) {
			model.Committed(obj)
		}
	}
	store.AfterUpdate = func(obj runtime.Object, o *metav1.UpdateOptions) {
		if !dryrun.IsDryRun(o.DryRun) {
			model.Committed(obj)
		}
	}
	store.AfterDelete = func(obj runtime.Object, o *metav1.DeleteOptions) {
		if !dryrun.IsDryRun(o.DryRun) {
			model.Deleted(obj)
		}
	}
}

// Root is what the keys of the store's objects in etcd begin with, below the prefix of all stores. It begins and ends with
// a slash.
func (s *Store) Root() string {
	root := s.KeyRootFunc(genericapirequest.WithNamespace(context.Background(), metav1.NamespaceAll))
	return strings.TrimSuffix(root, "/") + "/"
}

// Decrypt returns what the value of a key in etcd says, and whether it is to be encrypted in another way than it is.
func (s *Store) Decrypt(ctx context.Context, key string, stored []byte) (data []byte, stale bool, err error) {
	if s.transformer == nil {
		return stored, false, nil
	}
	return s.transformer.TransformFromStorage(ctx, stored, value.DefaultContext(key))
}

// UpdateStatus calls update with a copy of the stored object and writes what update made of its status, or nothing if
// update left it as it was. It returns the object as it is stored then. On a conflict update is called again. It is how a
// Model settles dependents, and goes past admission and validation: what a Model renders needs neither.
func (s *Store) UpdateStatus(ctx context.Context, name types.NamespacedName, update func(runtime.Object)) (runtime.Object, error) {
	key, err := s.KeyFunc(genericapirequest.WithNamespace(ctx, name.Namespace), name.Name)
	if err != nil {
		return nil, err
	}
	out := s.NewFunc()
	err = s.Storage.GuaranteedUpdate(ctx, key, out, false, nil, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		obj = obj.DeepCopyObject()
		update(obj)
		return obj, nil
	}), false, nil)
	if err != nil {
		return nil, storeerr.InterpretUpdateError(err, s.DefaultQualifiedResource, name.String())
	}
	return out, nil
}

// ListAll returns every object of the kind, in all namespaces, as the watch cache has them.
func (s *Store) ListAll(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	options, err := internalOptions(o)
	if err != nil {
		return nil, err
	}
	return s.List(genericapirequest.WithNamespace(ctx, metav1.NamespaceAll), options)
}

// WatchAll follows every object of the kind, in all namespaces. Its resource versions are those of ListAll: nobody has them
// from another server, as Endpoint.Watch looks for.
func (s *Store) WatchAll(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	options, err := internalOptions(o)
	if err != nil {
		return nil, err
	}
	w, err := s.Endpoint.Store.Watch(genericapirequest.WithNamespace(ctx, metav1.NamespaceAll), options)
	if err != nil {
		return nil, err
	}
	// The watch cache wraps objects that several watchers receive, so that they are encoded once. Here they are not encoded.
	return watch.Filter(w, func(e watch.Event) (watch.Event, bool) {
		if shared, ok := e.Object.(runtime.CacheableObject); ok {
			e.Object = shared.GetObject()
		}
		return e, true
	}), nil
}

func internalOptions(o metav1.ListOptions) (*metainternal.ListOptions, error) {
	options := &metainternal.ListOptions{}
	if err := metainternal.Convert_v1_ListOptions_To_internalversion_ListOptions(&o, options, nil); err != nil {
		return nil, fmt.Errorf("list options: %w", err)
	}
	return options, nil
}
