package gatewayapi

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/test/bench/report"
)

// follow has seen called with each state of the objects of a kind in the run's namespace, one call at a time, until ctx ends.
func (r *run) follow(ctx context.Context, kind schema.GroupVersionResource, seen func(*unstructured.Unstructured)) error {
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(r.client, 0, r.Namespace, nil)
	informer := factory.ForResource(kind).Informer()
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { seen(obj.(*unstructured.Unstructured)) },
		UpdateFunc: func(_, obj any) { seen(obj.(*unstructured.Unstructured)) },
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
		return errors.Join(errors.New("the informer is not in sync"), ctx.Err())
	}
	return nil
}

// generation is one spec of an object.
type generation struct {
	name   string
	number int64
}

func generationOf(o metav1.Object) generation { return generation{o.GetName(), o.GetGeneration()} }

// verdicts notes when the status of each generation of some objects first said that it is in effect.
type verdicts struct {
	inEffect func(*unstructured.Unstructured) bool

	mu       sync.Mutex
	written  map[generation]time.Time // when the response of the write came
	effected map[generation]time.Time
}

// follow a kind's verdicts.
func (r *run) verdicts(ctx context.Context, kind schema.GroupVersionResource, inEffect func(*unstructured.Unstructured) bool) (*verdicts, error) {
	v := &verdicts{inEffect: inEffect, written: map[generation]time.Time{}, effected: map[generation]time.Time{}}
	return v, r.follow(ctx, kind, v.see)
}

func (v *verdicts) see(u *unstructured.Unstructured) {
	now := time.Now()
	if !v.inEffect(u) {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, known := v.effected[generationOf(u)]; !known {
		v.effected[generationOf(u)] = now
	}
}

// wrote notes the response to a write, which may say already that it is in effect.
func (v *verdicts) wrote(u *unstructured.Unstructured) {
	now := time.Now()
	inEffect := v.inEffect(u)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.written[generationOf(u)] = now
	if at, known := v.effected[generationOf(u)]; inEffect && (!known || at.After(now)) {
		v.effected[generationOf(u)] = now
	}
}

// delays returns how long after each write its status said that it is in effect, 0 if the response did, once all do.
func (v *verdicts) delays(ctx context.Context, r *run, what string) ([]time.Duration, error) {
	var out []time.Duration
	err := r.until(ctx, "the statuses of all "+what+" say that they are in effect", func() (bool, error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		out = nil
		for g, written := range v.written {
			at, known := v.effected[g]
			if !known {
				return false, nil
			}
			out = append(out, max(0, at.Sub(written)))
		}
		return true, nil
	})
	return out, err
}

// forget forgets the writes so far.
func (v *verdicts) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.written)
}

// routeInEffect says whether a route's status says that its parents of this implementation have accepted it as it is now.
func (r *run) routeInEffect(u *unstructured.Unstructured) bool {
	var route gwv1.HTTPRoute
	if convert(u, &route) != nil {
		return false
	}
	ours := 0
	for _, parent := range route.Status.Parents {
		if parent.ControllerName != r.controller {
			continue
		}
		ours++
		if !isTrue(parent.Conditions, gwv1.RouteConditionAccepted, route.Generation) ||
			!isTrue(parent.Conditions, gwv1.RouteConditionResolvedRefs, route.Generation) {
			return false
		}
	}
	return ours > 0
}

// setInEffect says whether a ListenerSet's status says that it has been accepted and programmed as it is now.
func setInEffect(u *unstructured.Unstructured) bool {
	var set gwv1.ListenerSet
	return convert(u, &set) == nil &&
		isTrue(set.Status.Conditions, gwv1.ListenerSetConditionAccepted, set.Generation) &&
		isTrue(set.Status.Conditions, gwv1.ListenerSetConditionProgrammed, set.Generation)
}

func isTrue[T ~string](conditions []metav1.Condition, kind T, generation int64) bool {
	c := meta.FindStatusCondition(conditions, string(kind))
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration >= generation
}

// summary writes the quantiles of durations.
func summary(took []time.Duration) string {
	return "p50 " + report.Duration(report.Quantile(took, 0.5)) +
		", p99 " + report.Duration(report.Quantile(took, 0.99)) +
		", worst " + report.Duration(report.Quantile(took, 1))
}
