package engine

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

// setDeliveries takes what replicas say of a scope.
func (e *Engine) setDeliveries(scope string, reports []Delivery) {
	d := e.deliveries[scope]
	switch {
	case d == nil && len(reports) == 0:
		return
	case d == nil:
		d = e.newDelivery(scope)
	}
	d.report(reports, time.Now())
	e.arm(scope, d)
	e.found(e.staleGateways(e.gatewaysOf(scope)))
}

func (e *Engine) newDelivery(scope string) *delivery {
	now, version := time.Now(), e.publisher.xds.Delivery(scope).Version
	d := &delivery{version: version, heard: now, claim: claim{doubted: now, told: map[graph.Key]telling{}}}
	d.schedule(now.Add(deliveryAbsence))
	e.deliveries[scope] = d
	return d
}

// arm has what is known of a scope shown when it is due, and forgets the scope if there is nothing to be known of it any more.
func (e *Engine) arm(scope string, d *delivery) {
	if len(d.reports) == 0 && len(e.gatewaysOf(scope)) == 0 {
		delete(e.deliveries, scope)
		return
	}
	if d.due.IsZero() || d.due.Equal(d.armed) {
		return
	}
	due := d.due
	d.armed = due
	time.AfterFunc(time.Until(due), func() {
		e.post(func() {
			if e.deliveries[scope] == d && d.due.Equal(due) {
				e.show(scope, d)
			}
		})
	})
}

// show shows what is known of a scope.
func (e *Engine) show(scope string, d *delivery) {
	d.show(time.Now())
	if e.leader && d.shown != nil && d.shown.Complete() && slices.ContainsFunc(e.gatewaysOf(scope), e.undelivered) {
		e.prove(scope, d)
	}
	e.arm(scope, d)
	e.found(e.staleGateways(e.gatewaysOf(scope)))
}

// showAll is for a new leader, which others have left all of it to.
func (e *Engine) showAll() {
	for scope, d := range e.deliveries {
		e.show(scope, d)
	}
}

// delivered follows that a scope was published, and returns the Gateways of which it has to be said before the write returns that
// has caused it.
func (e *Engine) delivered(scope string) []graph.Key {
	d := e.deliveries[scope]
	var news bool // unlike what may well have been published before a restart
	switch {
	case d != nil:
		news = d.version != ""
		news = d.publish(e.publisher.xds.Delivery(scope).Version, time.Now()) && news
	case !slices.ContainsFunc(e.gatewaysOf(scope), func(key graph.Key) bool { return e.saidDelivered(key) != "" }):
		return nil
	default:
		d = e.newDelivery(scope)
		if news = e.HasSynced(); news {
			d.published = time.Now()
		}
	}
	e.arm(scope, d)
	if news {
		e.owe(scope, d)
	}
	// What doesn't say True is not outdated; what is being written now may say so in a moment.
	return e.staleGateways(slices.DeleteFunc(e.gatewaysOf(scope), func(key graph.Key) bool {
		return e.undelivered(key) && e.unsettled[key] == 0 && !e.owes(key, d)
	}))
}

// owe takes note that something else is published. What is being written may say in a moment that all nodes have what there is.
func (e *Engine) owe(scope string, d *delivery) {
	owed := map[graph.Key]bool{}
	for _, key := range e.gatewaysOf(scope) {
		if d.owed[key] || !e.undelivered(key) || e.unsettled[key] > 0 {
			owed[key] = true
		}
	}
	d.owed = owed
}

// saidDelivered returns the status of the condition of a Gateway as it is stored; empty if it has none.
func (e *Engine) saidDelivered(gateway graph.Key) metav1.ConditionStatus {
	if c := deliveredOf(e.graph.Object(gateway)); c != nil {
		return c.Status
	}
	return ""
}

// undelivered says that a Gateway isn't said to be delivered, as far as this replica has seen.
func (e *Engine) undelivered(gateway graph.Key) bool {
	return e.saidDelivered(gateway) != metav1.ConditionTrue
}

// deliveredOf returns the condition of an object; nil if that is no Gateway, or has none.
func deliveredOf(obj any) *metav1.Condition {
	gw, ok := obj.(*gwv1.Gateway)
	if !ok {
		return nil
	}
	return meta.FindStatusCondition(gw.Status.Conditions, status.ConditionDelivered)
}

func (e *Engine) staleGateways(gateways []graph.Key) []graph.Key {
	keys := make(map[graph.Key]struct{}, len(gateways))
	for _, key := range gateways {
		keys[key] = struct{}{}
	}
	return e.stale(graph.Dirty{Statuses: keys})
}

// deliveryOf returns what the status of a Gateway of a scope has to say; nil if it is to stay as it is.
//
// That something else is published, every replica says of the Gateways of the scope, before the write returns that has caused it. The
// rest is the leader's to say; the other replicas leave the condition as it is, so that no two of them have different opinions.
func (e *Engine) deliveryOf(gateway graph.Key, scope string) *graph.DeliveryFacts {
	d := e.deliveries[scope]
	switch {
	case d == nil:
		return nil
	case d.owed[gateway] && !e.undelivered(gateway), e.owes(gateway, d):
		return &graph.DeliveryFacts{Outdated: true, Version: d.version}
	case d.shown != nil && e.leader:
		shown := *d.shown
		shown.Proven = d.claim.proven
		return &shown
	}
	return nil
}
