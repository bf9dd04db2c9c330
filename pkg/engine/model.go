package engine

import (
	"context"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

// Render implements registry.Model.
func (e *Engine) Render(obj runtime.Object) {
	if facts := e.ask(obj); facts != nil {
		setStatus(obj, facts)
	}
}

// ask is preview, for those who are not in the engine's goroutine. Objects of kinds without a status of ours don't bother
// it.
func (e *Engine) ask(obj runtime.Object) (facts any) {
	switch obj.(type) {
	case *gwv1.GatewayClass, *gwv1.Gateway, *gwv1.HTTPRoute, *gwv1.GRPCRoute, *gwv1.BackendTLSPolicy, *gwxv1alpha1.XBackendTrafficPolicy:
	default:
		return nil
	}
	answer := make(chan any, 1)
	select {
	case e.commands <- command{do: func() { answer <- e.preview(obj) }, done: make(chan struct{})}:
	case <-e.stopped:
		return nil
	}
	// Not the end of the batch, as in do: a preview changes nothing that would have to be published.
	select {
	case facts = <-answer:
		return facts
	case <-e.stopped:
		return nil
	}
}

// Restore implements registry.Model.
func (e *Engine) Restore(written, stored runtime.Object) {
	facts := e.ask(written)
	switch w := written.(type) {
	case *gwv1.GatewayClass:
		if f, ok := facts.(*graph.GatewayClassFacts); ok {
			w.Status = status.RestoreGatewayClass(f, w.Status, stored.(*gwv1.GatewayClass).Status)
		}
	case *gwv1.Gateway:
		if f, ok := facts.(*graph.GatewayFacts); ok {
			w.Status = status.RestoreGateway(f, w.Status, stored.(*gwv1.Gateway).Status)
		}
	case *gwv1.HTTPRoute:
		w.Status.RouteStatus = status.RestoreRoute(w.Status.RouteStatus, stored.(*gwv1.HTTPRoute).Status.RouteStatus)
	case *gwv1.GRPCRoute:
		w.Status.RouteStatus = status.RestoreRoute(w.Status.RouteStatus, stored.(*gwv1.GRPCRoute).Status.RouteStatus)
	case *gwv1.BackendTLSPolicy:
		w.Status = status.RestorePolicy(w.Status, stored.(*gwv1.BackendTLSPolicy).Status)
	case *gwxv1alpha1.XBackendTrafficPolicy:
		w.Status = status.RestorePolicy(w.Status, stored.(*gwxv1alpha1.XBackendTrafficPolicy).Status)
	}
}

// Warnings implements registry.Model.
func (e *Engine) Warnings(obj runtime.Object) []string {
	switch f := e.ask(obj).(type) {
	case *graph.GatewayClassFacts:
		return status.GatewayClassWarnings(f)
	case *graph.GatewayFacts:
		return status.GatewayWarnings(f)
	case *graph.RouteFacts:
		return status.RouteWarnings(f)
	case *graph.BackendTLSPolicyFacts:
		return status.BackendTLSPolicyWarnings(f)
	case *graph.BackendTrafficPolicyFacts:
		return status.BackendTrafficPolicyWarnings(f)
	}
	return nil
}

// preview returns the facts that would hold if obj were written now; nil for kinds without a status of ours.
func (e *Engine) preview(obj runtime.Object) any {
	switch o := obj.(type) {
	case *gwv1.GatewayClass:
		return e.graph.PreviewGatewayClass(o)
	case *gwv1.Gateway:
		return e.graph.PreviewGateway(o)
	case *gwv1.HTTPRoute:
		return e.graph.PreviewHTTPRoute(o)
	case *gwv1.GRPCRoute:
		return e.graph.PreviewGRPCRoute(o)
	case *gwv1.BackendTLSPolicy:
		return e.graph.PreviewBackendTLSPolicy(o)
	case *gwxv1alpha1.XBackendTrafficPolicy:
		return e.graph.PreviewBackendTrafficPolicy(o)
	}
	return nil
}

// facts returns what the graph holds of key; nil if the object is gone or has no status of ours.
func (e *Engine) facts(key graph.Key) any {
	if e.graph.Object(key) == nil {
		return nil
	}
	switch key.Kind {
	case graph.KindGatewayClass:
		return e.graph.GatewayClass(key.Name)
	case graph.KindGateway:
		return e.graph.Gateway(key.NamespacedName())
	case graph.KindHTTPRoute, graph.KindGRPCRoute:
		return e.graph.Route(key)
	case graph.KindBackendTLSPolicy:
		return e.graph.BackendTLSPolicy(key.NamespacedName())
	case graph.KindBackendTrafficPolicy:
		return e.graph.BackendTrafficPolicy(key.NamespacedName())
	}
	return nil
}

// setStatus renders facts into the status of obj, which keeps what is not ours.
func setStatus(obj runtime.Object, facts any) {
	now := metav1.Now()
	switch o := obj.(type) {
	case *gwv1.GatewayClass:
		o.Status = status.GatewayClass(facts.(*graph.GatewayClassFacts), o.Status, o.Generation, now)
	case *gwv1.Gateway:
		o.Status = status.Gateway(facts.(*graph.GatewayFacts), o.Status, o.Generation, now)
	case *gwv1.HTTPRoute:
		o.Status.RouteStatus = status.Route(facts.(*graph.RouteFacts), o.Status.RouteStatus, o.Generation, now)
	case *gwv1.GRPCRoute:
		o.Status.RouteStatus = status.Route(facts.(*graph.RouteFacts), o.Status.RouteStatus, o.Generation, now)
	case *gwv1.BackendTLSPolicy:
		o.Status = status.BackendTLSPolicy(facts.(*graph.BackendTLSPolicyFacts), o.Status, o.Generation, now)
	case *gwxv1alpha1.XBackendTrafficPolicy:
		o.Status = status.BackendTrafficPolicy(facts.(*graph.BackendTrafficPolicyFacts), o.Status, o.Generation, now)
	}
}

// sameStatus compares the statuses of two objects of one type.
func sameStatus(a, b runtime.Object) bool {
	switch a := a.(type) {
	case *gwv1.GatewayClass:
		return equality.Semantic.DeepEqual(a.Status, b.(*gwv1.GatewayClass).Status)
	case *gwv1.Gateway:
		return equality.Semantic.DeepEqual(a.Status, b.(*gwv1.Gateway).Status)
	case *gwv1.HTTPRoute:
		return equality.Semantic.DeepEqual(a.Status, b.(*gwv1.HTTPRoute).Status)
	case *gwv1.GRPCRoute:
		return equality.Semantic.DeepEqual(a.Status, b.(*gwv1.GRPCRoute).Status)
	case *gwv1.BackendTLSPolicy:
		return equality.Semantic.DeepEqual(a.Status, b.(*gwv1.BackendTLSPolicy).Status)
	case *gwxv1alpha1.XBackendTrafficPolicy:
		return equality.Semantic.DeepEqual(a.Status, b.(*gwxv1alpha1.XBackendTrafficPolicy).Status)
	}
	return true
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
	err := e.do(ctx, func() {
		f := e.feedOf(obj)
		if f == nil {
			return
		}
		stale, news := f.committed(o, deleted)
		if !news {
			// The watch was first, and what it found stale is among what is not settled yet.
			stale = slices.Collect(maps.Keys(e.unsettled))
		}
		for _, key := range stale {
			done := make(chan error, 1)
			e.waiting[key] = append(e.waiting[key], done)
			settled = append(settled, done)
		}
		e.enqueue(stale)
	})
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
