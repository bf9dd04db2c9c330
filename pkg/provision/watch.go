package provision

import (
	"bytes"
	"context"
	"maps"
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// Watch calls changed with each Gateway that has objects, and again whenever one of them has become another than it was, or
// is gone, and with all of them when the certificates of the xDS server's authority have changed, until ctx ends. Calls come at
// the same time.
func (p *Provisioner) Watch(ctx context.Context, changed func(gateway types.NamespacedName)) {
	var informers sync.WaitGroup
	defer informers.Wait()
	accounts := make(chan cache.Store, 1)
	informers.Go(func() { p.watchAuthority(ctx, accounts, changed) })
	for _, resource := range Resources() {
		informer := metadatainformer.NewFilteredMetadataInformer(p.metadata, resource.GroupVersionResource, metav1.NamespaceAll, 0, cache.Indexers{},
			func(o *metav1.ListOptions) { o.LabelSelector = graph.ManagedByLabel + "=" + managedBy }).Informer()
		notify := func(object any) {
			if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = gone.Obj
			}
			if gateway := belongsTo(object.(metav1.Object)); gateway.Name != "" {
				changed(gateway)
			}
		}
		// Nothing is wrong with an informer that hasn't been started.
		_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: notify,
			UpdateFunc: func(before, after any) {
				if !sameObject(before.(metav1.Object), after.(metav1.Object)) {
					notify(before)
					notify(after)
				}
			},
			DeleteFunc: notify,
		})
		if resource == ServiceAccounts { // of which each Gateway has one
			accounts <- informer.GetStore()
		}
		informers.Go(func() { informer.RunWithContext(ctx) })
	}
}

// changes is a listener that can be waited for.
type changes chan struct{}

// Enqueue says that something has changed.
func (c changes) Enqueue() {
	select {
	case c <- struct{}{}:
	default: // whoever waits is about to look
	}
}

// watchAuthority calls changed with each Gateway that one of the objects belongs to whenever the authority has changed.
func (p *Provisioner) watchAuthority(ctx context.Context, objects <-chan cache.Store, changed func(gateway types.NamespacedName)) {
	store := <-objects
	last := p.authority.CurrentCABundleContent()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.changes: // of the authority, or of what else its provider has
		}
		now := p.authority.CurrentCABundleContent()
		if bytes.Equal(last, now) {
			continue
		}
		last = now
		for _, object := range store.List() {
			if gateway := belongsTo(object.(metav1.Object)); gateway.Name != "" {
				changed(gateway)
			}
		}
	}
}

// sameObject says whether an object is still what it was, but for its status. Kinds without a generation have no status
// that changes often.
func sameObject(before, after metav1.Object) bool {
	if before.GetResourceVersion() == after.GetResourceVersion() {
		return true
	}
	return after.GetGeneration() != 0 && before.GetGeneration() == after.GetGeneration() &&
		maps.Equal(before.GetLabels(), after.GetLabels()) && maps.Equal(before.GetAnnotations(), after.GetAnnotations()) &&
		equality.Semantic.DeepEqual(before.GetOwnerReferences(), after.GetOwnerReferences())
}
