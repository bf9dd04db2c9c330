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

const (
	// deliveryPause is how long what is heard of nodes is gathered before it is shown, so that a Gateway has no more than two
	// writes in that time: this one, and the one that says at once that something else is published.
	deliveryPause = 2 * time.Second
	// deliveryLag is how long a node that has just connected may take to acknowledge what it is sent before it makes a
	// difference: in a large fleet there is always one.
	deliveryLag = 10 * time.Second
	// deliveryAbsence is how long there is no node at all before that is shown. The nodes of a replica that restarts are back
	// by then.
	deliveryAbsence = 30 * time.Second
)

// Delivery is what a replica says of the nodes of a scope that are connected to it.
type Delivery struct {
	Replica string
	// Scope is that of the xDS cache, and Version that of all that the replica has published in it (cache.Delivery).
	Scope, Version string
	// Nodes is how many there are, Current how many of them have acknowledged all of that version, and Rejecting how many have
	// rejected some of it.
	Nodes, Current, Rejecting int
}

// SetDeliveries replaces what replicas have said of a scope. It returns at once, and may be called at any time, also before Run.
// Nobody may write to reports any more.
func (e *Engine) SetDeliveries(scope string, reports []Delivery) {
	e.inbox.put(func(m *mail) {
		if m.deliveries == nil {
			m.deliveries = map[string][]Delivery{}
		}
		m.deliveries[scope] = reports
	})
}

// delivery is how far the nodes of a scope have come. What is published is known at once, what nodes have of it by reports,
// which are a moment late.
//
// That something else is published, every replica says of the Gateways of the scope, before the write returns that has caused
// it. All the rest the leader says, deliveryPause after it has changed; other replicas leave the condition as it is, so that
// no two of them have different opinions.
type delivery struct {
	reports []Delivery
	// version is what is published, and confirmed the last of these that all reports were about, or the first that there was.
	version, confirmed string
	// shown is what was last known of version when it was time to show it; nil before.
	shown *graph.DeliveryFacts
	// nodes is how many there were then.
	nodes int
	// heard is when there was a node last, or when this replica began to look, and behind is since when there has been one
	// that isn't current.
	heard, behind time.Time
	// due is when to show what is known; zero if that is shown. armed is the last time for which a timer has been set.
	due, armed time.Time
}

// sum adds up what replicas have said. Who has reported another version than that which is published has no current nodes.
func (d *delivery) sum(now time.Time) graph.DeliveryFacts {
	var s graph.DeliveryFacts
	for _, r := range d.reports {
		s.Nodes += r.Nodes
		if r.Version == d.version {
			s.Current += r.Current
			s.Rejecting += r.Rejecting
		}
	}
	s.Late = !d.behind.IsZero() && now.Sub(d.behind) >= deliveryLag
	return s
}

// outdated says that something else has been published than what the nodes were last known to have been offered.
func (d *delivery) outdated() bool { return d.version != d.confirmed }

// report takes what replicas say now.
func (d *delivery) report(reports []Delivery, now time.Time) {
	if d.sum(now).Nodes > 0 {
		d.heard = now
	}
	d.reports = reports
	d.look(now)
	if d.shown == nil || *d.shown != d.sum(now) {
		d.schedule(now.Add(deliveryPause))
	}
}

// publish takes the version that is published now, and says whether it is another one.
func (d *delivery) publish(version string, now time.Time) bool {
	if version == d.version {
		return false
	}
	if d.version == "" {
		d.confirmed = version
	}
	d.version = version
	d.shown = nil
	d.look(now)
	d.schedule(now.Add(deliveryPause))
	return true
}

// look takes note of when something was so.
func (d *delivery) look(now time.Time) {
	s := d.sum(now)
	confirmed := s.Nodes > 0
	for _, r := range d.reports {
		confirmed = confirmed && (r.Nodes == 0 || r.Version == d.version)
	}
	if confirmed {
		d.confirmed = d.version
	}
	switch {
	case s.Current == s.Nodes:
		d.behind = time.Time{}
	case d.behind.IsZero():
		d.behind = now
	}
}

// show makes what is known what is shown. That there are no nodes has to be so for a while.
func (d *delivery) show(now time.Time) {
	d.due = time.Time{}
	s := d.sum(now)
	if s.Nodes == 0 && now.Sub(d.heard) < deliveryAbsence {
		d.schedule(d.heard.Add(deliveryAbsence))
		return
	}
	d.shown, d.nodes = &s, s.Nodes
	if !s.Late && !d.behind.IsZero() {
		d.schedule(d.behind.Add(deliveryLag))
	}
}

// schedule has what is known shown at a time, or before.
func (d *delivery) schedule(at time.Time) {
	if d.due.IsZero() || at.Before(d.due) {
		d.due = at
	}
}

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
	d := &delivery{version: version, confirmed: version, heard: now}
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
	e.arm(scope, d)
	e.found(e.staleGateways(e.gatewaysOf(scope)))
	if v := e.verdicts[scope]; v != nil { // there may be more nodes than before, or fewer
		e.found(e.stale(graph.Dirty{Statuses: v.concerned}))
	}
}

// showAll is for a new leader, which others have left all of it to.
func (e *Engine) showAll() {
	for scope, d := range e.deliveries {
		e.show(scope, d)
	}
}

// delivered follows that a scope was published, and returns the Gateways whose status says that nodes have what there is.
func (e *Engine) delivered(scope string) []graph.Key {
	d := e.deliveries[scope]
	if d == nil {
		if !slices.ContainsFunc(e.gatewaysOf(scope), func(key graph.Key) bool { return e.saidDelivered(key) != "" }) {
			return nil
		}
		d = e.newDelivery(scope)
	}
	if d.publish(e.publisher.xds.Delivery(scope).Version, time.Now()) {
		e.arm(scope, d)
	}
	// What doesn't say so is not outdated; what is being written now may say so in a moment.
	return e.staleGateways(slices.DeleteFunc(e.gatewaysOf(scope), func(key graph.Key) bool {
		return e.saidDelivered(key) != metav1.ConditionTrue && e.unsettled[key] == 0
	}))
}

// saidDelivered returns the status of the condition of a Gateway as it is stored; empty if it has none.
func (e *Engine) saidDelivered(gateway graph.Key) metav1.ConditionStatus {
	gw, ok := e.graph.Object(gateway).(*gwv1.Gateway)
	if !ok {
		return ""
	}
	if c := meta.FindStatusCondition(gw.Status.Conditions, status.ConditionDelivered); c != nil {
		return c.Status
	}
	return ""
}

func (e *Engine) staleGateways(gateways []graph.Key) []graph.Key {
	keys := make(map[graph.Key]struct{}, len(gateways))
	for _, key := range gateways {
		keys[key] = struct{}{}
	}
	return e.stale(graph.Dirty{Statuses: keys})
}

// deliveryOf returns what the status of the Gateways of a scope has to say; nil if it is to stay as it is.
func (e *Engine) deliveryOf(scope string) *graph.DeliveryFacts {
	d := e.deliveries[scope]
	switch {
	case d == nil:
		return nil
	case d.shown != nil && e.leader:
		return d.shown
	case d.outdated():
		return &graph.DeliveryFacts{Outdated: true}
	}
	return nil
}

// nodesOf returns how many nodes of a scope are connected; 0 if that isn't known.
func (e *Engine) nodesOf(scope string) int {
	d := e.deliveries[scope]
	if d == nil {
		return 0
	}
	if d.nodes > 0 {
		return d.nodes
	}
	return d.sum(time.Now()).Nodes
}
