package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// syncBound is how long a write waits for what is stored to be in the graph. A write that goes on without is judged by what
// there is, and what that makes wrong is settled later, as if the two writes had come at the same time.
const syncBound = time.Second

// Sync implements registry.Model. It waits until the graph has what was stored before the call, also by other replicas, and
// what obj refers to. A bound that passes is no error.
func (e *Engine) Sync(ctx context.Context, obj runtime.Object) error {
	if err := e.WaitForSync(ctx); err != nil {
		return err
	}
	if e.inputs.Progress != nil {
		e.bounded(ctx, "revision", e.syncRevisions)
	}
	if o, ok := obj.(metav1.Object); ok {
		e.syncReferences(ctx, o)
		e.bounded(ctx, "object", func(ctx context.Context) error { return e.syncMissing(ctx, o) })
	}
	if ctx.Err() != nil {
		return fmt.Errorf("waiting for the model to be up to date: %w", context.Cause(ctx))
	}
	return nil
}

// WaitForSync waits until HasSynced.
func (e *Engine) WaitForSync(ctx context.Context) error {
	select {
	case <-e.synced:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the model to load what is stored: %w", context.Cause(ctx))
	}
}

// bounded waits for syncBound at most. It takes note if that, or whatever is waited for, fails.
func (e *Engine) bounded(ctx context.Context, what string, wait func(context.Context) error) {
	within, cancel := context.WithTimeout(ctx, syncBound)
	defer cancel()
	if err := wait(within); err != nil && ctx.Err() == nil {
		syncTimeouts.WithLabelValues(what).Inc()
		e.logger.V(2).Info("A write is judged without waiting any longer for the model to be up to date", "waitedFor", what, "reason", err)
	}
}

// syncRevisions waits until each feed has delivered what etcd had when it was asked.
func (e *Engine) syncRevisions(ctx context.Context) error {
	revisions, err := e.inputs.Progress.Revisions(ctx)
	if err != nil {
		return err
	}
	return e.until(ctx, func() bool {
		for kind, revision := range revisions {
			if f := e.feeds[kind]; f != nil && f.watched < revision {
				return false
			}
			delete(revisions, kind)
		}
		return true
	})
}

// syncReferences waits until what obj would need if it were written is loaded, and begins to follow it if that isn't done
// yet. It takes no longer than loadBound.
func (e *Engine) syncReferences(ctx context.Context, obj metav1.Object) {
	if len(e.inputs.Referenced) == 0 {
		return
	}
	var asked []*reference
	err := e.inspect(ctx, func() {
		for _, key := range e.graph.NeededBy(obj) {
			if e.inputs.Referenced[key.Kind] != nil && len(asked) < maxAsked {
				asked = append(asked, e.askFor(key))
			}
		}
		asked = slices.DeleteFunc(asked, func(r *reference) bool { return r.loaded })
	})
	if err != nil || len(asked) == 0 {
		return
	}
	// The end of ctx is for the caller to see.
	_ = e.until(ctx, func() bool { return !slices.ContainsFunc(asked, func(r *reference) bool { return !r.loaded }) })
}

// syncMissing waits for the Services and the Namespace that obj refers to if they exist and are not in the graph, which may
// be a moment behind: who applies a file with a Service and a route has just made them.
func (e *Engine) syncMissing(ctx context.Context, obj metav1.Object) error {
	if len(e.named) == 0 {
		return nil
	}
	var missing []graph.Key
	if err := e.inspect(ctx, func() { missing = e.graph.MissingFor(obj) }); err != nil {
		return err
	}
	var existing []graph.Key
	for _, key := range missing {
		source := e.named[key.Kind]
		if source == nil {
			continue
		}
		list, err := source.ListNamed(ctx, key.NamespacedName(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		if meta.LenList(list) > 0 {
			existing = append(existing, key)
		}
	}
	if len(existing) == 0 {
		return nil
	}
	return e.until(ctx, func() bool {
		return !slices.ContainsFunc(existing, func(key graph.Key) bool { return e.graph.Object(key) == nil })
	})
}

// condition is something that is to become true of the graph.
type condition struct {
	ctx   context.Context // of who waits
	holds func() bool
	met   chan struct{}
}

// until waits until a condition holds, which the engine's goroutine looks at now and after each batch of commands.
func (e *Engine) until(ctx context.Context, holds func() bool) error {
	c := &condition{ctx, holds, make(chan struct{})}
	err := e.send(ctx, command{do: func() {
		if c.holds() {
			close(c.met)
		} else {
			e.conditions = append(e.conditions, c)
		}
	}, done: make(chan struct{})})
	if err != nil {
		return err
	}
	return e.await(ctx, c.met)
}

// checkConditions tells those whose conditions hold, and forgets those who don't wait any more.
func (e *Engine) checkConditions() {
	e.conditions = slices.DeleteFunc(e.conditions, func(c *condition) bool {
		if c.ctx.Err() != nil {
			return true
		}
		if c.holds() {
			close(c.met)
			return true
		}
		return false
	})
}
