package apiserver

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
)

var namespaceKind = schema.GroupKind{Group: corev1.GroupName, Kind: "Namespace"}

const (
	// purgeRetry is how soon a Namespace is looked at again in which something waits for its finalizers.
	purgeRetry = time.Second
	// purgeRetryMax bounds how long one waits whose contents could not be deleted.
	purgeRetryMax = time.Minute
)

func (s *Server) namespaces() *registry.NamespaceStore {
	if store := s.Stores[namespaceKind]; store != nil {
		return &registry.NamespaceStore{Store: store}
	}
	return nil
}

// purgeNamespaces deletes what is in terminating Namespaces, and then the Namespaces. Where there is a cluster, its
// namespace controller does this.
func (s *Server) purgeNamespaces(hook genericapiserver.PostStartHookContext) error {
	namespaces := s.namespaces()
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](purgeRetry, purgeRetryMax))
	lw := &cache.ListWatch{ListWithContextFunc: namespaces.ListAll, WatchFuncWithContext: namespaces.WatchAll}
	enqueue := func(obj any) {
		if ns, ok := obj.(*corev1.Namespace); ok && !ns.DeletionTimestamp.IsZero() {
			queue.Add(ns.Name)
		}
	}
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: lw,
		ObjectType:    &corev1.Namespace{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    enqueue,
			UpdateFunc: func(_, obj any) { enqueue(obj) },
		},
	})
	go informer.RunWithContext(hook)
	go func() {
		<-hook.Done()
		queue.ShutDown()
	}()
	go func() {
		for {
			name, shutdown := queue.Get()
			if shutdown {
				return
			}
			left, err := s.purge(hook, namespaces, name)
			switch {
			case err != nil && hook.Err() == nil:
				klog.FromContext(hook).Error(err, "Deleting the contents of a Namespace; will try again", "namespace", name)
				queue.AddRateLimited(name)
			case left > 0:
				queue.AddAfter(name, purgeRetry)
			default:
				queue.Forget(name)
			}
			queue.Done(name)
		}
	}()
	return nil
}

// purge deletes everything in a Namespace that is being deleted. It returns how many objects are left, waiting for their
// finalizers; if none is, the Namespace is gone.
func (s *Server) purge(ctx context.Context, namespaces *registry.NamespaceStore, name string) (left int, err error) {
	// What is in the queue may be late: the Namespace is gone, or another one has its name by now.
	obj, err := namespaces.Get(ctx, name, &metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading the Namespace: %w", err)
	}
	ns := obj.(*corev1.Namespace)
	if ns.DeletionTimestamp.IsZero() {
		return 0, nil
	}
	if len(ns.Spec.Finalizers) > 0 { // else nothing has been left in it before
		if left, err = s.empty(ctx, name); left > 0 || err != nil {
			return left, err
		}
	}
	if err := namespaces.Finalize(ctx, ns); !apierrors.IsNotFound(err) {
		return 0, err
	}
	return 0, nil
}

// empty deletes what is in a Namespace and returns how many objects are left.
func (s *Server) empty(ctx context.Context, namespace string) (left int, err error) {
	ctx = genericapirequest.WithNamespace(ctx, namespace)
	var errs []error
	for _, store := range s.Stores {
		if !store.Kind.Namespaced {
			continue
		}
		if _, err := store.DeleteCollection(ctx, rest.ValidateAllObjectFunc, metav1.NewDeleteOptions(0), &metainternal.ListOptions{}); err != nil {
			errs = append(errs, fmt.Errorf("deleting %s: %w", store.DefaultQualifiedResource, err))
			continue
		}
		list, err := store.List(ctx, &metainternal.ListOptions{})
		if err != nil {
			errs = append(errs, fmt.Errorf("listing %s: %w", store.DefaultQualifiedResource, err))
			continue
		}
		left += meta.LenList(list)
	}
	return left, utilerrors.NewAggregate(errs)
}
