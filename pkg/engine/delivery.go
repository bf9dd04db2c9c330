package engine

import (
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

const (
	// deliveryPause is how long what is heard of nodes is gathered before it is shown, so that a Gateway has no more than two
	// writes in that time: this one, and the one that says at once that something else is published.
	deliveryPause = 2 * time.Second
	// deliveryDoubt is how long a replica that doesn't lead may leave it at having said that something else is published. So long the
	// leader, too, makes no more than those two writes, so that three replicas together make one a second.
	deliveryDoubt = 4 * time.Second
	// deliveryLag is how long there may be nodes that are neither current nor new before that makes a difference to what is True. Those
	// that have something to acknowledge make none before that, as something else is published then. For each node there is
	// Delivery.Late.
	deliveryLag = 10 * time.Second
	// deliveryAbsence is how long there is no node at all before that is shown. The nodes of a replica that restarts are back
	// by then.
	deliveryAbsence = 30 * time.Second
	// deliveryCount is how long the number of nodes is to be the same before a change of it by no more than a hundredth is shown:
	// connections of a large fleet come and go all the time.
	deliveryCount = time.Minute
)

// Delivery is what a replica says of the nodes of a scope that are connected to it.
type Delivery struct {
	Replica string
	// Scope is that of the xDS cache, and Version that of all that the replica has published in it (cache.Delivery).
	Scope, Version string
	// Nodes is how many there are, Current how many of them have acknowledged all of that version, and Rejecting how many have
	// rejected some of it.
	Nodes, Current, Rejecting int
	// New is how many of the others have only just connected, with nothing older than that version, and Late how many haven't been current
	// for longer than that may take.
	New, Late int
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
type delivery struct {
	reports []Delivery
	// version is what is published, since when.
	version   string
	published time.Time
	// owed are the Gateways of which this replica has to say that something else is published, until it has, or another one has, or
	// all nodes have what is published. That a report names this is not enough: nodes may have been offered it before that is said.
	owed map[graph.Key]bool
	// shown is what was last known of version when it was time to show it; nil before.
	shown *graph.DeliveryFacts
	// showed is when something was shown last, of whatever version.
	showed time.Time
	// settled is the last that was shown of version when all nodes had it; nil before.
	settled *graph.DeliveryFacts
	// nodes is how many there were last, since when.
	nodes   int
	counted time.Time
	// heard is when there was a node last, or when this replica began to look, and behind is since when there has been one
	// that is neither current, new nor late: it lacks something that it subscribes to since a moment ago, or its replica has published
	// something else, or doesn't count those that are new.
	heard, behind time.Time
	// due is when to show what is known; zero if that is shown. armed is the last time for which a timer has been set.
	due, armed time.Time
	claim      claim
}

// sum adds up what replicas have said. New nodes don't count until they are current or late: in a large fleet there are always some. Who
// has reported another version than that which is published has no current nodes.
func (d *delivery) sum(now time.Time) graph.DeliveryFacts {
	s, late := d.count()
	s.Late = late > 0 || !d.behind.IsZero() && now.Sub(d.behind) >= deliveryLag
	return s
}

func (d *delivery) count() (s graph.DeliveryFacts, late int) {
	for _, r := range d.reports {
		s.Nodes += r.Nodes
		if r.Version == d.version {
			s.Nodes -= r.New
			s.Current += r.Current
			s.Rejecting += r.Rejecting
			late += r.Late
		}
	}
	return s, late
}

// report takes what replicas say now.
func (d *delivery) report(reports []Delivery, now time.Time) {
	if d.sum(now).Nodes > 0 {
		d.heard = now
	}
	d.reports = reports
	d.look(now)
	if s := d.sum(now); s.Complete() {
		clear(d.owed)
	}
	if d.shown == nil || *d.shown != d.sum(now) {
		d.schedule(now.Add(deliveryPause))
	}
}

// publish takes the version that is published now, and says whether it is another one.
func (d *delivery) publish(version string, now time.Time) bool {
	if version == d.version {
		return false
	}
	d.version, d.published = version, now
	d.shown, d.settled = nil, nil
	d.claim.withdraw()
	d.look(now)
	d.schedule(now.Add(deliveryPause))
	return true
}

// look takes note of when something was so.
func (d *delivery) look(now time.Time) {
	s, late := d.count()
	if s.Nodes != d.nodes {
		d.nodes, d.counted = s.Nodes, now
	}
	switch {
	case s.Current+late == s.Nodes:
		d.behind = time.Time{}
	case d.behind.IsZero():
		d.behind = now
	}
}

// show makes what is known what is shown. That there are no nodes has to be so for a while.
func (d *delivery) show(now time.Time) {
	d.due = time.Time{}
	if again := d.showed.Add(deliveryDoubt); d.claim.inDoubt(now) && now.Before(again) {
		d.schedule(again)
		return
	}
	s := d.sum(now)
	if s.Nodes == 0 && now.Sub(d.heard) < deliveryAbsence {
		d.schedule(d.heard.Add(deliveryAbsence))
		return
	}
	if d.settled != nil && s.Complete() && d.fluctuates(s.Nodes, now) {
		s = *d.settled
		d.schedule(d.counted.Add(deliveryCount))
	}
	d.shown, d.showed = &s, now
	if s.Complete() {
		d.settled = &s
	}
	if !s.Late && !d.behind.IsZero() {
		d.schedule(d.behind.Add(deliveryLag))
	}
}

// fluctuates says that a number of nodes isn't worth a write: it was about the same before, and may be another one soon.
func (d *delivery) fluctuates(nodes int, now time.Time) bool {
	before := d.settled.Nodes
	return nodes != before && max(nodes-before, before-nodes)*100 <= before && now.Sub(d.counted) < deliveryCount
}

// schedule has what is known shown at a time, or before.
func (d *delivery) schedule(at time.Time) {
	if d.due.IsZero() || at.Before(d.due) {
		d.due = at
	}
}
