package engine

import (
	"context"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// feedOf is the feed of the kind that obj is of; nil for kinds that the graph does not hold.
func (e *Engine) feedOf(obj runtime.Object) *feed {
	name, _ := kindOf(obj)
	return e.feeds[name]
}

// staleStatus returns a copy of the object with the status that it should have, or nil if that is the one it has. The
// resource version is that of the object in the graph. A kind without a writer has no status to be stale. It runs in
// the engine's goroutine.
func (e *Engine) staleStatus(key graph.Key) runtime.Object {
	of := kinds[key.Kind].status
	if of == nil || e.writers[key.Kind] == nil {
		return nil
	}
	facts := of.facts(e.graph, key)
	if facts == nil {
		return nil
	}
	obj := e.graph.Object(key).(runtime.Object)
	due := obj.DeepCopyObject()
	of.render(facts, due)
	if of.same(obj, due) {
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
				kinds[key.Kind].status.copy(obj, due)
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
