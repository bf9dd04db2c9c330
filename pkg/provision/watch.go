package provision

import (
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
// is gone, until ctx ends. Calls come at the same time.
func (p *Provisioner) Watch(ctx context.Context, changed func(gateway types.NamespacedName)) {
	var informers sync.WaitGroup
	defer informers.Wait()
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
		informers.Go(func() { informer.RunWithContext(ctx) })
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
