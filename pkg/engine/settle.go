package engine

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// feedOf is the feed of the kind that obj is of; nil for kinds that the graph does not hold.
func (e *Engine) feedOf(obj runtime.Object) *feed {
	switch obj.(type) {
	case *gwv1.GatewayClass:
		return e.feeds[graph.KindGatewayClass]
	case *gwv1.Gateway:
		return e.feeds[graph.KindGateway]
	case *gwv1.HTTPRoute:
		return e.feeds[graph.KindHTTPRoute]
	case *gwv1.GRPCRoute:
		return e.feeds[graph.KindGRPCRoute]
	case *gwv1.ReferenceGrant:
		return e.feeds[graph.KindReferenceGrant]
	case *corev1.Namespace:
		return e.feeds[graph.KindNamespace]
	case *corev1.Service:
		return e.feeds[graph.KindService]
	case *corev1.Secret:
		return e.feeds[graph.KindSecret]
	case *discoveryv1.EndpointSlice:
		return e.feeds[graph.KindEndpointSlice]
	case *corev1.ConfigMap:
		return e.feeds[graph.KindConfigMap]
	case *gwv1.BackendTLSPolicy:
		return e.feeds[graph.KindBackendTLSPolicy]
	case *gwxv1alpha1.XBackendTrafficPolicy:
		return e.feeds[graph.KindBackendTrafficPolicy]
	}
	return nil
}

// staleStatus returns a copy of the object with the status that it should have, or nil if that is the one it has. The
// resource version is that of the object in the graph. A kind without a writer has no status to be stale. It runs in
// the engine's goroutine.
func (e *Engine) staleStatus(key graph.Key) runtime.Object {
	if e.writers[key.Kind] == nil {
		return nil
	}
	facts := e.facts(key)
	if facts == nil {
		return nil
	}
	obj := e.graph.Object(key).(runtime.Object)
	due := obj.DeepCopyObject()
	setStatus(due, facts)
	if sameStatus(obj, due) {
		return nil
	}
	return due
}

// settleStatuses writes queued statuses until the queue is shut down. The queue never hands out one key twice at a
// time, and a key that is added while it is being written comes again: so writers of many routes share the few writes
// of their Gateway.
func (e *Engine) settleStatuses(ctx context.Context) {
	for {
		key, shutdown := e.queue.Get()
		if shutdown {
			return
		}
		var waiting []chan<- error
		var enqueued int
		if e.do(ctx, func() {
			waiting, enqueued = e.waiting[key], e.unsettled[key]
			delete(e.waiting, key)
		}) != nil {
			return // the engine ends
		}
		err := e.settle(ctx, key)
		for _, w := range waiting {
			w <- err
		}
		if err == nil {
			e.queue.Forget(key)
			err = e.do(ctx, func() {
				if e.unsettled[key] == enqueued {
					delete(e.unsettled, key)
				}
			})
		}
		if err != nil && ctx.Err() == nil {
			e.logger.Error(err, "Writing a status; will try again", "kind", key.Kind, "namespace", key.Namespace, "name", key.Name)
			e.queue.AddRateLimited(key)
		}
		e.queue.Done(key)
	}
}

// settle writes the status that the object should have, until it has it.
func (e *Engine) settle(ctx context.Context, key graph.Key) error {
	for {
		var due runtime.Object
		if err := e.do(ctx, func() { due = e.staleStatus(key) }); err != nil || due == nil {
			return err
		}
		writer := e.writers[key.Kind]
		version := due.(metav1.Object).GetResourceVersion()
		var current bool
		stored, err := writer.UpdateStatus(ctx, key.NamespacedName(), func(obj runtime.Object) {
			// The facts hold for the object that the graph has. A newer one is brought into the graph first.
			if current = obj.(metav1.Object).GetResourceVersion() == version; current {
				copyStatus(obj, due)
			}
		})
		if apierrors.IsNotFound(err) {
			return nil // the feed will tell
		}
		if err != nil {
			return err
		}
		if current {
			statusWrites.WithLabelValues(string(key.Kind)).Inc()
		}
		if err := e.do(ctx, func() {
			stale, _ := e.feedOf(stored).committed(stored.(metav1.Object), false)
			e.enqueue(slices.DeleteFunc(stale, func(k graph.Key) bool { return k == key }))
		}); err != nil {
			return err
		}
	}
}

// copyStatus gives to the status of from, an object of the same type.
func copyStatus(to, from runtime.Object) {
	switch to := to.(type) {
	case *gwv1.GatewayClass:
		to.Status = from.(*gwv1.GatewayClass).Status
	case *gwv1.Gateway:
		to.Status = from.(*gwv1.Gateway).Status
	case *gwv1.BackendTLSPolicy:
		to.Status = from.(*gwv1.BackendTLSPolicy).Status
	case *gwxv1alpha1.XBackendTrafficPolicy:
		to.Status = from.(*gwxv1alpha1.XBackendTrafficPolicy).Status
	case *gwv1.HTTPRoute:
		to.Status = from.(*gwv1.HTTPRoute).Status
	case *gwv1.GRPCRoute:
		to.Status = from.(*gwv1.GRPCRoute).Status
	}
}
