package migration

import (
	"cmp"
	"context"
	"maps"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
)

// Run rewrites what is stored in an older form, and returns when that is done or ctx ends. The stores keep their objects
// in etcd below prefix. What is found and what has become of it is logged in two lines, with the logger in ctx, besides
// a line for each object that fails; nothing is if there is nothing to do.
func Run(ctx context.Context, etcd clientv3.KV, prefix string, stores map[schema.GroupKind]*registry.Store) {
	registerMetrics()
	logger := klog.FromContext(ctx)
	var all []*findings
	old := 0
	for _, store := range ordered(stores) {
		if store.Kind.TTLSeconds != 0 {
			continue // gone by itself soon, while a rewritten one would stay
		}
		found, err := scan(ctx, etcd, prefix, store)
		if err != nil {
			if ctx.Err() == nil {
				logger.Error(err, "Looking for objects stored by an older release; will try again at the next start")
			}
			return
		}
		found.report(ctx)
		all = append(all, found)
		old += len(found.old)
	}
	if old == 0 {
		return
	}
	logger.Info("Rewriting objects that are stored in an older form, or encrypted with an older key", "objects", old)
	done, failures := 0, 0
	for _, found := range all {
		d, e := found.rewrite(ctx)
		done, failures = done+d, failures+e
	}
	if ctx.Err() == nil {
		logger.Info("Rewrote the objects that were stored in an older form, or encrypted with an older key", "objects", old, "rewritten", done, "failed", failures)
	}
}

// ordered returns the stores in the order of their resources.
func ordered(stores map[schema.GroupKind]*registry.Store) []*registry.Store {
	return slices.SortedFunc(maps.Values(stores), func(a, b *registry.Store) int {
		return cmp.Compare(a.DefaultQualifiedResource.String(), b.DefaultQualifiedResource.String())
	})
}

// report sets the metrics to what was found, and logs what cannot be rewritten.
func (f *findings) report(ctx context.Context) {
	logger := klog.FromContext(ctx)
	resource := f.store.DefaultQualifiedResource.String()
	objectsRemaining.WithLabelValues(resource).Set(float64(f.len()))
	for key, err := range f.unreadable {
		objectsTotal.WithLabelValues(resource, failed).Inc()
		logger.Error(err, "A stored object cannot be read", "resource", resource, "key", key)
	}
	if len(f.unknown) > 0 {
		objectsTotal.WithLabelValues(resource, unknown).Add(float64(len(f.unknown)))
		logger.Info("Stored objects have fields that this release does not know, as if a newer one had stored them; they stay as they are until somebody writes them",
			"resource", resource, "objects", len(f.unknown), "first", f.unknown[0])
	}
}

// rewrite writes the old objects anew.
func (f *findings) rewrite(ctx context.Context) (done, failures int) {
	resource := f.store.DefaultQualifiedResource.String()
	remaining := objectsRemaining.WithLabelValues(resource)
	for _, key := range f.old {
		err := write(ctx, f.store, key)
		switch {
		case ctx.Err() != nil:
			return done, failures
		case storage.IsNotFound(err): // deleted meanwhile
			remaining.Dec()
		case err != nil:
			failures++
			objectsTotal.WithLabelValues(resource, failed).Inc()
			klog.FromContext(ctx).Error(err, "Rewriting an object that is stored in an older form; will try again at the next start", "resource", resource, "key", key)
		default:
			done++
			remaining.Dec()
			objectsTotal.WithLabelValues(resource, rewritten).Inc()
		}
	}
	return done, failures
}

// write has the store write an object as it is. The store compares bytes too, reads again after a conflict, and writes
// nothing if somebody else has done it.
func write(ctx context.Context, store *registry.Store, key string) error {
	return store.Storage.GuaranteedUpdate(ctx, key, store.NewFunc(), false, nil, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		complete(obj)
		return obj, nil
	}), false, nil)
}
