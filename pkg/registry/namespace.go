package registry

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"
)

// NamespaceStore is the store of Namespaces. Deleting one makes it Terminating; it goes when Finalize says that nothing
// is left in it. This is what kube-apiserver does.
type NamespaceStore struct{ *Store }

// emptiedNamespace says whether a Namespace that lost its last finalizer in metadata can go: not while the one in spec
// says that something may be left in it.
func emptiedNamespace(obj runtime.Object) bool {
	return len(obj.(*corev1.Namespace).Spec.Finalizers) == 0
}

// prepareNamespace is the Prepare of the Namespace kind: a new Namespace is Active and waits for its contents to be
// deleted before it goes; clients cannot change that.
func prepareNamespace(obj, old runtime.Object) {
	ns := obj.(*corev1.Namespace)
	if old == nil {
		ns.Spec.Finalizers = []corev1.FinalizerName{corev1.FinalizerKubernetes}
		ns.Status.Phase = corev1.NamespaceActive
	} else {
		ns.Spec.Finalizers = old.(*corev1.Namespace).Spec.Finalizers
	}
	if ns.Labels == nil {
		ns.Labels = map[string]string{}
	}
	ns.Labels[corev1.LabelMetadataName] = ns.Name
}

// Delete implements rest.GracefulDeleter.
func (s *NamespaceStore) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	obj, err := s.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, false, err
	}
	ns := obj.(*corev1.Namespace)
	if options == nil {
		options = metav1.NewDeleteOptions(0)
	}
	if p := options.Preconditions; p != nil && p.UID != nil && *p.UID != ns.UID {
		return nil, false, apierrors.NewConflict(s.DefaultQualifiedResource, name,
			fmt.Errorf("the UID in the precondition (%s) is not that of the object (%s)", *p.UID, ns.UID))
	}
	if ns.DeletionTimestamp.IsZero() {
		out, err := s.terminate(ctx, ns, validate, options)
		return out, false, err
	}
	if len(ns.Spec.Finalizers) > 0 {
		return ns, false, nil
	}
	return s.Store.Delete(ctx, name, validate, options)
}

// DeleteCollection implements rest.CollectionDeleter. As in kube-apiserver, Namespaces are deleted one by one.
func (s *NamespaceStore) DeleteCollection(context.Context, rest.ValidateObjectFunc, *metav1.DeleteOptions, *metainternal.ListOptions) (runtime.Object, error) {
	return nil, apierrors.NewMethodNotSupported(s.DefaultQualifiedResource, "deletecollection")
}

// terminate marks a Namespace as being deleted.
func (s *NamespaceStore) terminate(ctx context.Context, ns *corev1.Namespace, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, error) {
	var preconditions storage.Preconditions
	if options.Preconditions != nil {
		preconditions.UID, preconditions.ResourceVersion = options.Preconditions.UID, options.Preconditions.ResourceVersion
	}
	out, err := s.change(ctx, ns.Name, &preconditions, dryrun.IsDryRun(options.DryRun), func(ns *corev1.Namespace) error {
		if err := validate(ctx, ns); err != nil {
			return err
		}
		if ns.DeletionTimestamp.IsZero() {
			now := metav1.Now()
			ns.DeletionTimestamp = &now
			ns.DeletionGracePeriodSeconds = new(int64)
		}
		ns.Status.Phase = corev1.NamespaceTerminating
		return nil
	})
	if err == nil && s.AfterUpdate != nil {
		s.AfterUpdate(out, &metav1.UpdateOptions{DryRun: options.DryRun})
	}
	return out, err
}

// Finalize removes ns, a terminating Namespace in which nothing is left. It is a conflict if another Namespace has its
// name by now.
func (s *NamespaceStore) Finalize(ctx context.Context, ns *corev1.Namespace) error {
	ctx = genericapirequest.WithNamespace(ctx, metav1.NamespaceNone)
	if _, err := s.change(ctx, ns.Name, &storage.Preconditions{UID: &ns.UID}, false, func(ns *corev1.Namespace) error {
		ns.Spec.Finalizers = nil
		return nil
	}); err != nil {
		return err
	}
	options := metav1.NewDeleteOptions(0)
	options.Preconditions = metav1.NewUIDPreconditions(string(ns.UID))
	_, _, err := s.Store.Delete(ctx, ns.Name, rest.ValidateAllObjectFunc, options)
	return err
}

func (s *NamespaceStore) change(ctx context.Context, name string, preconditions *storage.Preconditions, dryRun bool, change func(*corev1.Namespace) error) (runtime.Object, error) {
	key, err := s.KeyFunc(ctx, name)
	if err != nil {
		return nil, err
	}
	out := s.NewFunc()
	err = s.Storage.GuaranteedUpdate(ctx, key, out, false, preconditions, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		ns := obj.DeepCopyObject().(*corev1.Namespace)
		return ns, change(ns)
	}), dryRun, nil)
	if err != nil {
		return nil, storeerr.InterpretUpdateError(err, s.DefaultQualifiedResource, name)
	}
	return out, nil
}
