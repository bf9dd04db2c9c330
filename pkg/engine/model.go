package engine

import (
	"context"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// Render implements registry.Model.
func (e *Engine) Render(obj runtime.Object) {
	if of, facts := e.ask(obj); facts != nil {
		of.render(facts, obj)
	}
}

// Restore implements registry.Model.
func (e *Engine) Restore(written, stored runtime.Object) {
	if of, facts := e.ask(written); of != nil {
		of.restore(facts, written, stored)
	}
}

// Warnings implements registry.Model.
func (e *Engine) Warnings(obj runtime.Object) []string {
	if of, facts := e.ask(obj); facts != nil {
		return of.warnings(facts)
	}
	return nil
}

// ask returns the facts that would hold if obj were written now, and what to do with them; nil facts after the engine has
// stopped, and both nil for kinds without a status of ours, which don't bother its goroutine.
func (e *Engine) ask(obj runtime.Object) (of *kindStatus, facts any) {
	name, row := kindOf(obj)
	if row.status == nil {
		return nil, nil
	}
	if e.inspect(context.Background(), func() { facts = e.preview(row.status, name, obj) }) != nil {
		return row.status, nil
	}
	return row.status, facts
}

// preview returns the facts that would hold if obj were written now. What nodes say is about its spec as it is stored.
func (e *Engine) preview(of *kindStatus, kind graph.Kind, obj runtime.Object) any {
	facts := of.preview(e.graph, obj)
	next := obj.(metav1.Object)
	stored := e.graph.Object(graph.Key{Kind: kind, Namespace: next.GetNamespace(), Name: next.GetName()})
	if stored == nil || stored.GetGeneration() != next.GetGeneration() {
		return facts
	}
	facts = e.withVerdicts(facts)
	if f, ok := facts.(*graph.GatewayFacts); ok && f.Delivery != nil {
		// What is stored may be something else than what is in the graph, and then nothing is proven.
		f.Delivery.Proven = false
	}
	return facts
}

// Committed implements registry.Model.
func (e *Engine) Committed(obj runtime.Object) { e.commit(obj.DeepCopyObject(), false) }

// Deleted implements registry.Model.
func (e *Engine) Deleted(obj runtime.Object) { e.commit(obj.DeepCopyObject(), true) }

func (e *Engine) commit(obj runtime.Object, deleted bool) {
	o, ok := obj.(metav1.Object)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleBound)
	defer cancel()
	var settled []<-chan error
	wait := func(stale []graph.Key) {
		for _, key := range stale {
			done := make(chan error, 1)
			e.waiting[key] = append(e.waiting[key], done)
			settled = append(settled, done)
		}
	}
	c := command{timing: untilPublished, done: make(chan struct{}), settle: wait, do: func() {
		f := e.feedOf(obj)
		if f == nil {
			return
		}
		stale, news := f.committed(o, deleted)
		if !news {
			// The watch was first, and what it found stale is among what is not settled yet, here or by the leader.
			stale = slices.AppendSeq(slices.Collect(maps.Keys(e.unsettled)), maps.Keys(e.left))
		}
		wait(stale)
		e.enqueue(stale)
	}}
	err := e.send(ctx, c)
	if err == nil {
		err = e.await(ctx, c.done)
	}
	// After an error the command may still be at it, and settled must not be read.
	for i := 0; err == nil && i < len(settled); i++ {
		select {
		case <-settled[i]:
		case <-e.stopped:
			err = errStopped
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		e.logger.V(2).Info("A write returns before all dependent statuses are written", "object", o.GetName(), "namespace", o.GetNamespace(), "reason", err)
	}
}
