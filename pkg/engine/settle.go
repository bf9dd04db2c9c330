package engine

import (
	"context"
	"maps"
	"slices"
	"time"

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

// SetLeader says whether this is the replica that settles what watches bring: what other replicas have left behind. Each
// replica, leader or not, settles what its own writes have made stale. An engine is no leader until it is told to be one.
func (e *Engine) SetLeader(leader bool) {
	e.post(func() {
		e.leader = leader
		e.setProvisioning(leader)
		if leader {
			e.enqueue(slices.Collect(maps.Keys(e.left)))
			e.showAll()
		}
	})
}

// stale returns the dirty statuses that are not what is stored, or might not be: one that is being written now is written
// as it should have been before.
func (e *Engine) stale(d graph.Dirty) []graph.Key {
	var keys []graph.Key
	for key := range d.Statuses {
		delete(e.left, key)
		if e.unsettled[key] > 0 || e.staleStatus(key) != nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// found takes note of statuses that no write of this replica has made stale. They are the leader's to write, but nothing is
// forgotten that it hasn't written: the next leader may be this replica.
//
// Two replicas that write one status don't go on for ever. A replica that isn't the leader stops when the status is what its
// own graph says, and what the leader makes of it then comes by the watch, after which it does nothing. The leader may see a
// status that is wrong, since another replica's graph lacked a route that its own has, or the other way round: it writes
// until the watches of both have delivered the same objects, of which both render the same status.
func (e *Engine) found(stale []graph.Key) {
	if e.leader {
		e.enqueue(stale)
		return
	}
	for _, key := range stale {
		e.left[key] = struct{}{}
	}
}

// enqueue has statuses written.
func (e *Engine) enqueue(keys []graph.Key) {
	for _, key := range keys {
		delete(e.left, key)
		e.unsettled[key]++
		e.admit(key)
	}
}

// staleStatus returns a copy of the object with the status that it should have, or nil if that is the one it has. The
// resource version is that of the object in the graph. A kind without a writer has no status to be stale. It runs in
// the engine's goroutine.
func (e *Engine) staleStatus(key graph.Key) runtime.Object {
	of := kinds[key.Kind].status
	if of == nil || e.inputs.Writers[key.Kind] == nil {
		return nil
	}
	facts := of.facts(e.graph, key)
	if facts == nil {
		return nil
	}
	facts = e.withVerdicts(facts)
	obj := e.graph.Object(key).(runtime.Object)
	if of.rendered(facts, obj) {
		return nil // which is the rule, and copying objects takes longer than this
	}
	due := obj.DeepCopyObject()
	of.render(facts, due)
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
		if e.do(ctx, atOnce, func() {
			waiting, enqueued = e.waiting[key], e.unsettled[key]
			delete(e.waiting, key)
			e.beginWrite(key, len(waiting))
		}) != nil {
			return // the engine ends
		}
		err := e.settle(ctx, key)
		if e.do(ctx, atOnce, func() {
			e.endWrite(key)
			if err == nil && e.unsettled[key] == enqueued {
				delete(e.unsettled, key)
			}
		}) != nil {
			return
		}
		for _, w := range waiting {
			w <- err
		}
		if err == nil {
			e.queue.Forget(key)
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
		var began time.Time
		var retracts bool
		if err := e.do(ctx, onceLoaded, func() {
			due, began = e.staleStatus(key), time.Now()
			retracts = e.retracts(key, due)
		}); err != nil || due == nil {
			return err
		}
		writer := e.inputs.Writers[key.Kind]
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
		if err := e.do(ctx, atOnce, func() {
			if current && retracts {
				e.told(key, telling{began, stored.(metav1.Object).GetResourceVersion()})
			}
			stale, _ := e.feedOf(stored).committed(stored.(metav1.Object), false)
			e.enqueue(slices.DeleteFunc(stale, func(k graph.Key) bool { return k == key }))
		}); err != nil {
			return err
		}
	}
}
