package garbage

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
)

var namespaceKind = schema.GroupKind{Group: corev1.GroupName, Kind: "Namespace"}

// ownerState is what a reference to an owner is worth.
type ownerState int

const (
	// solid owners keep their dependents.
	solid ownerState = iota
	// gone owners don't exist, or have been replaced by another object of the same name.
	gone
	// waits is an owner that is deleted in foreground.
	waits
)

// verdict is what becomes of an object.
type verdict int

const (
	keep verdict = iota
	// release takes out the references to owners that are gone, and to those that would wait for the object in vain.
	release
	// collect deletes the object.
	collect
	// collectForeground deletes the object after its dependents: its owner waits for them too.
	collectForeground
)

// judge says what becomes of an object with these owners. One owner that is solid keeps it.
func judge(owners []ownerState, hasDependents bool) verdict {
	lost := slices.ContainsFunc(owners, func(s ownerState) bool { return s != solid })
	switch {
	case !lost:
		return keep
	case slices.Contains(owners, solid):
		return release
	case hasDependents && slices.Contains(owners, waits):
		return collectForeground
	}
	return collect
}

// collect deletes an object, or takes references out of it, if its owners are such.
func (c *collector) collect(ctx context.Context, v view) error {
	m, err := c.get(ctx, c.stores[v.kind], v.name)
	if err != nil || m == nil || m.GetUID() != v.uid || m.GetDeletionTimestamp() != nil {
		return err
	}
	refs := m.GetOwnerReferences()
	owners := make([]ownerState, len(refs))
	for i, ref := range refs {
		if owners[i], err = c.ownerState(ctx, ref, v.name.Namespace); err != nil {
			return err
		}
	}
	var policy *metav1.DeletionPropagation
	switch judge(owners, v.owner) {
	case keep:
		return nil
	case release:
		return c.dropReferences(ctx, v.object, func(ref metav1.OwnerReference) bool {
			i := slices.IndexFunc(refs, func(r metav1.OwnerReference) bool { return equality.Semantic.DeepEqual(r, ref) })
			return i >= 0 && owners[i] != solid
		})
	case collectForeground:
		policy = new(metav1.DeletePropagationForeground)
	}
	klog.FromContext(ctx).V(2).Info("Deleting an object whose owners are gone", "kind", v.kind, "object", v.name)
	return c.delete(ctx, v.object, m.GetResourceVersion(), policy)
}

// ownerState looks the owner up that an object in a namespace refers to.
func (c *collector) ownerState(ctx context.Context, ref metav1.OwnerReference, namespace string) (ownerState, error) {
	store, name, ok := c.stores.locate(ref, namespace)
	if !ok {
		return solid, nil
	}
	m, err := c.get(ctx, store, name)
	switch {
	case err != nil:
		return solid, err
	case m == nil || m.GetUID() != ref.UID:
		return gone, nil
	case phaseOf(m) == waiting:
		return waits, nil
	}
	return solid, nil
}

// orphan takes the references to o out of its dependents, and then lets it go. The stores are asked for the dependents:
// one that the index does not know yet would be deleted afterwards.
func (c *collector) orphan(ctx context.Context, o *object) error {
	var errs []error
	for kind, store := range c.stores {
		if o.name.Namespace != "" && !store.Kind.Namespaced {
			continue
		}
		list, err := store.List(genericapirequest.WithNamespace(ctx, o.name.Namespace), &metainternal.ListOptions{})
		if err != nil {
			errs = append(errs, fmt.Errorf("listing %s: %w", store.DefaultQualifiedResource, err))
			continue
		}
		refers := func(ref metav1.OwnerReference) bool { return ref.UID == o.uid }
		if err := meta.EachListItem(list, func(obj runtime.Object) error {
			m, err := meta.Accessor(obj)
			if err != nil || !slices.ContainsFunc(m.GetOwnerReferences(), refers) {
				return err
			}
			return c.dropReferences(ctx, newObject(kind, m), refers)
		}); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return c.finalize(ctx, o, metav1.FinalizerOrphanDependents)
}

// finalize takes a finalizer out of o.
func (c *collector) finalize(ctx context.Context, o *object, finalizer string) error {
	return c.update(ctx, o, func(m metav1.Object) {
		m.SetFinalizers(slices.DeleteFunc(m.GetFinalizers(), func(f string) bool { return f == finalizer }))
	})
}

func (c *collector) dropReferences(ctx context.Context, o *object, drop func(metav1.OwnerReference) bool) error {
	return c.update(ctx, o, func(m metav1.Object) {
		m.SetOwnerReferences(slices.DeleteFunc(m.GetOwnerReferences(), drop))
	})
}

// get returns the metadata of an object, or nil if there is none of that name.
func (c *collector) get(ctx context.Context, store *registry.Store, name types.NamespacedName) (metav1.Object, error) {
	obj, err := store.Get(genericapirequest.WithNamespace(ctx, name.Namespace), name.Name, &metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s %s: %w", store.Kind.GroupKind().Kind, name, err)
	}
	return meta.Accessor(obj)
}

// update changes the metadata of o, unless another object has its name now.
func (c *collector) update(ctx context.Context, o *object, change func(metav1.Object)) error {
	// The UID of this object is the precondition of the update.
	same := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{UID: o.uid}}
	info := rest.DefaultUpdatedObjectInfo(same, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		obj := old.DeepCopyObject()
		m, err := meta.Accessor(obj)
		if err == nil {
			change(m)
		}
		return obj, err
	})
	_, _, err := c.stores[o.kind].Update(genericapirequest.WithNamespace(ctx, o.name.Namespace), o.name.Name, info,
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("updating %s %s: %w", o.kind.Kind, o.name, err)
}

// delete deletes o, unless it is not what it was at the resource version. Without a policy, finalizers that o has
// already say what becomes of its dependents.
func (c *collector) delete(ctx context.Context, o *object, resourceVersion string, policy *metav1.DeletionPropagation) error {
	store := c.stores[o.kind]
	var deleter rest.GracefulDeleter = store
	if o.kind == namespaceKind {
		deleter = &registry.NamespaceStore{Store: store}
	}
	_, _, err := deleter.Delete(genericapirequest.WithNamespace(ctx, o.name.Namespace), o.name.Name, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &o.uid, ResourceVersion: &resourceVersion},
		PropagationPolicy: policy,
	})
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("deleting %s %s: %w", o.kind.Kind, o.name, err)
}
