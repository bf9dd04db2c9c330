package cache

import (
	"fmt"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// move replaces the cluster that a route uses.
func move(from, to string) Update {
	return Update{
		Set:    []*Resource{res(rds, "r", to), res(eds, to, "e"), edsCluster(to, 1)},
		Delete: []Name{{cds, from}, {eds, from}},
	}
}

func TestDeltaMakesBeforeItBreaks(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(edsCluster("c1", 1), res(eds, "c1", "e"), res(lds, "l", "l1"), res(rds, "r", "c1")))
	d := newDelta(t, c, "s")
	d.subscribe(cds)
	d.subscribe(eds, "c1")
	d.subscribe(lds)
	d.subscribe(rds, "r")
	d.wantAck("clusters +c1=1")
	d.wantAck("endpoints +c1=e")
	d.wantAck("listeners +l=l1")
	d.wantAck("routes +r=c1")

	c.Publish("s", move("c1", "c2"))
	cluster := d.want("clusters +c2=1")
	d.wantNothing()
	// Envoy asks for the endpoints of the new cluster, and acknowledges the cluster when it has them.
	d.subscribe(eds, "c2")
	d.wantAck("endpoints +c2=e")
	d.wantNothing()
	d.ack(cluster)
	// Now the route, and then what it no longer uses.
	d.wantAck("routes +r=c2")
	d.wantAck("clusters -c1")
	d.wantAck("endpoints -c1")
	d.wantNothing()
}

// TestDeltaBreaksAfterALateRoute has a route that can't be sent when a cluster is removed, because an earlier one has not
// been acknowledged.
func TestDeltaBreaksAfterALateRoute(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(edsCluster("c1", 1), edsCluster("c2", 1), res(rds, "r", "c1")))
	d := newDelta(t, c, "s")
	d.subscribe(cds)
	d.wantAck("clusters +c1=1 +c2=1")
	d.subscribe(rds, "r")
	route := d.want("routes +r=c1")
	c.Publish("s", Update{Set: []*Resource{res(rds, "r", "c2")}, Delete: []Name{{cds, "c1"}}})
	d.wantNothing()
	// A change that the route does not wait for does not let the removal slip through.
	c.Publish("s", set(edsCluster("c3", 1)))
	d.wantAck("clusters +c3=1")
	d.wantNothing()
	d.ack(route)
	d.wantAck("routes +r=c2")
	d.wantAck("clusters -c1")
}

func TestDeltaMakesBeforeALateCluster(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(edsCluster("c1", 1), res(rds, "r", "c1")))
	d := newDelta(t, c, "s")
	d.subscribe(cds)
	first := d.want("clusters +c1=1")
	// Envoy waits for a table that it asks for as long as for its clusters (initial_fetch_timeout), and would answer 503 if it
	// had the table before them.
	d.subscribe(rds, "r")
	d.wantNothing()
	d.subscribe(rds, "missing")
	d.wantNothing()
	d.ack(first)
	d.wantAck("routes +r=c1 -missing")

	c.Publish("s", set(edsCluster("c1", 2)))
	first = d.want("clusters +c1=2")
	c.Publish("s", set(edsCluster("c2", 1), res(rds, "r", "c2")))
	d.wantNothing() // the new cluster waits for the acknowledgement of the first, the route for the cluster
	d.ack(first)
	second := d.want("clusters +c2=1")
	d.wantNothing()
	c.Publish("s", set(edsCluster("c3", 1)))
	d.ack(second)
	// The route waits for the clusters that were there before it, not for all that follow.
	third := d.want("clusters +c3=1")
	d.wantAck("routes +r=c2")
	d.ack(third)
	d.wantNothing()
}

// TestReconnectMakesBeforeItBreaks has a client come back that still uses what has been removed.
func TestReconnectMakesBeforeItBreaks(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(edsCluster("c1", 1), res(eds, "c1", "e1"), res(rds, "r", "c1")))
	c.Publish("s", move("c1", "c2"))
	d := newDelta(t, c, "s")
	old := map[string]map[string]string{cds: {"c1": "any"}, eds: {"c1": "any"}, rds: {"r": "any"}}
	for typeURL, names := range map[string][]string{eds: {"c1", "missing"}, rds: {"r"}, cds: {"*"}} {
		d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: names, InitialResourceVersions: old[typeURL]})
	}
	first := map[string]*discoveryv3.DeltaDiscoveryResponse{}
	for resp := d.next(); resp != nil; resp = d.next() {
		first[resp.GetTypeUrl()] = resp
	}
	want := map[string]string{cds: "clusters +c2=1", eds: "endpoints -missing"}
	if first[rds] != nil { // it came before the clusters were asked for
		want[rds] = "routes +r=c2"
	}
	for typeURL, want := range want {
		if got := deltaString(first[typeURL]); got != want {
			t.Errorf("got first response %q, want %q", got, want)
		}
	}
	d.ack(first[eds])
	d.wantNothing()
	d.ack(first[cds])
	if first[rds] == nil {
		first[rds] = d.want("routes +r=c2")
	}
	d.wantNothing()
	d.ack(first[rds])
	d.wantAck("clusters -c1")
	d.wantAck("endpoints -c1")
	d.wantNothing()
}

// TestAskedForIsAnswered has clients ask for a route that will never have its cluster.
func TestAskedForIsAnswered(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(edsCluster("c1", 1), res(rds, "r", "c1")))
	d, s := newDelta(t, c, "s"), newState(t, c, "s") // without clusters
	d.subscribe(rds, "r")
	d.wantAck("routes +r=c1")
	s.subscribe(rds, nil, "r")
	s.wantAck("routes c1")

	d = newDelta(t, c, "s") // which rejects the cluster
	d.subscribe(cds)
	cluster := d.want("clusters +c1=1")
	d.subscribe(rds, "r")
	d.wantNothing()
	d.nack(cluster)
	d.wantAck("routes +r=c1")
	c = New()
	c.Publish("s", set(edsCluster("c1", 1), res(rds, "r", "c1")))
	s = newState(t, c, "s")
	s.subscribe(cds, nil)
	clusters := s.want("clusters 1")
	s.subscribe(rds, nil, "r")
	s.wantNothing()
	s.nack(clusters)
	s.wantAck("routes c1")
}

// TestTableStaysUntilItsListenerIsGone has a table change and go while an acknowledgement of it is outstanding.
func TestTableStaysUntilItsListenerIsGone(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(edsCluster("c1", 1), edsCluster("c2", 2), res(lds, "l", "r"), res(rds, "r", "c1")))
	d, s := newDelta(t, c, "s"), newState(t, c, "s")
	for _, typeURL := range []string{cds, lds, rds} {
		var names []string
		if typeURL == rds {
			names = []string{"r"}
		}
		d.subscribe(typeURL, names...)
		s.subscribe(typeURL, nil, names...)
		if typeURL != rds {
			d.ack(d.next())
			s.ack(s.next())
		}
	}
	deltaTable, stateTable := d.want("routes +r=c1"), s.want("routes c1")
	c.Publish("s", Update{Set: []*Resource{res(rds, "r", "c2")}, Delete: []Name{{cds, "c1"}}})
	c.Publish("s", Update{Set: []*Resource{edsCluster("c3", 3)}, Delete: []Name{{lds, "l"}, {rds, "r"}, {cds, "c2"}}})
	deltaCluster, stateCluster := d.want("clusters +c3=3"), s.want("clusters 3 1 2")
	d.ack(deltaTable)
	s.ack(stateTable)
	d.wantNothing()
	s.wantNothing()
	d.ack(deltaCluster)
	s.ack(stateCluster)
	deltaListener, stateListener := d.want("listeners -l"), s.want("listeners")
	d.wantAck("routes +r=c2")
	s.wantAck("routes c2")
	d.wantNothing()
	s.wantNothing()
	d.ack(deltaListener)
	d.wantAck("routes -r")
	d.wantAck("clusters -c1 -c2")
	s.ack(stateListener)
	s.wantAck("clusters 3")
	d.wantNothing()
	s.wantNothing()
}

// TestClusterByNameIsGone has a cluster go that a client asks for by name, which has it until it doesn't.
func TestClusterByNameIsGone(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(res(cds, "c1", "1"), res(rds, "r", "c1")))
	s := newState(t, c, "s")
	s.subscribe(rds, nil, "r")
	s.wantAck("routes c1")
	s.subscribe(cds, nil, "c1")
	last := s.wantAck("clusters 1")
	c.Publish("s", Update{Set: []*Resource{res(cds, "c2", "2"), res(rds, "r", "c2")}, Delete: []Name{{cds, "c1"}}})
	s.wantAck("routes c2")
	s.wantNothing()
	s.subscribe(cds, last, "c1", "c2")
	s.wantAck("clusters 1 2")
	for i := range 2 * minTrim { // and the log is trimmed
		c.Publish("s", set(edsCluster("c2", int64(i))))
		last = s.wantAck(fmt.Sprint("clusters 1 ", i))
	}
	s.subscribe(cds, last, "c2")
	s.wantNothing()
	s.subscribe(cds, last, "c1", "c2")
	s.wantAck(fmt.Sprint("clusters ", 2*minTrim-1))
	s.wantNothing()
}

// TestReconnectRemovesEndpointsOnly has nothing to send before the removal.
func TestReconnectRemovesEndpointsOnly(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", Update{})
	d := newDelta(t, c, "s")
	d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: eds, ResourceNamesSubscribe: []string{"c1"}, InitialResourceVersions: map[string]string{"c1": "any"}})
	d.wantAck("endpoints")
	d.wantAck("endpoints -c1")
	d.wantNothing()
}

func TestStateMakesBeforeItBreaks(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(edsCluster("c1", 1), res(rds, "r", "c1")))
	s := newState(t, c, "s")
	s.subscribe(cds, nil)
	s.wantAck("clusters 1")
	s.subscribe(rds, nil, "r")
	s.wantAck("routes c1")

	c.Publish("s", Update{Set: []*Resource{res(rds, "r", "c2"), edsCluster("c2", 2)}, Delete: []Name{{cds, "c1"}}})
	cluster := s.want("clusters 2 1") // the old one is still there
	s.wantNothing()
	s.ack(cluster)
	s.wantAck("routes c2")
	s.wantAck("clusters 2")
	s.wantNothing()
}

// TestStateRemovalIsNotTakenBack has a route fall behind after a cluster was removed.
func TestStateRemovalIsNotTakenBack(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(edsCluster("c1", 1), edsCluster("c2", 2), res(rds, "r", "c1")))
	s := newState(t, c, "s")
	s.subscribe(cds, nil)
	s.wantAck("clusters 1 2")
	s.subscribe(rds, nil, "r")
	s.wantAck("routes c1")
	c.Publish("s", del(cds, "c2"))
	s.wantAck("clusters 1")
	c.Publish("s", set(res(rds, "r", "c1 again")))
	route := s.want("routes c1 again")
	c.Publish("s", set(res(rds, "r", "c1 once more")))
	c.Publish("s", set(edsCluster("c3", 3)))
	s.wantAck("clusters 1 3")
	s.ack(route)
	s.wantAck("routes c1 once more")
	s.wantNothing()
}

// TestStateRewarmsAfterADrop has go-control-plane drop the response with the endpoints of a changed cluster.
func TestStateRewarmsAfterADrop(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(edsCluster("c1", 1), res(eds, "c1", "e1"), res(eds, "c2", "e2")))
	s := newState(t, c, "s")
	s.subscribe(cds, nil)
	s.wantAck("clusters 1")
	s.subscribe(eds, nil, "c1")
	last := s.wantAck("endpoints e1")
	c.Publish("s", set(edsCluster("c1", 2)))
	s.subscribe(eds, last, "c1", "c2")
	s.wantAck("clusters 2")
	s.wantAck("endpoints e1 e2")
	s.wantNothing()
}

// TestStateRewarmsWhatIsMadeLater has the endpoints of a changed cluster come back with the content that they had.
func TestStateRewarmsWhatIsMadeLater(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(edsCluster("c1", 1), res(eds, "c1", "e1")))
	s := newState(t, c, "s")
	s.subscribe(cds, nil)
	s.wantAck("clusters 1")
	s.subscribe(eds, nil, "c1")
	s.wantAck("endpoints e1")
	c.Publish("s", del(eds, "c1"))
	c.Publish("s", set(edsCluster("c1", 2)))
	s.wantAck("clusters 2")
	s.wantNothing()
	c.Publish("s", set(res(eds, "c1", "e1")))
	s.wantAck("endpoints e1")
	s.wantNothing()
}

// TestRewarm holds that the endpoints of a changed cluster are sent again, for which Envoy waits.
func TestRewarm(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(edsCluster("c1", 1), edsCluster("c2", 1), res(eds, "c1", "e1"), res(eds, "c2", "e2")))
	d, s := newDelta(t, c, "s"), newState(t, c, "s")
	d.subscribe(cds)
	d.wantAck("clusters +c1=1 +c2=1")
	d.subscribe(eds, "c1", "c2")
	d.wantAck("endpoints +c1=e1 +c2=e2")
	s.subscribe(cds, nil)
	s.wantAck("clusters 1 1")
	s.subscribe(eds, nil, "c1", "c2")
	s.wantAck("endpoints e1 e2")

	c.Publish("s", set(edsCluster("c1", 2)))
	d.wantAck("clusters +c1=2")
	d.wantAck("endpoints +c1=e1")
	d.wantNothing()
	s.wantAck("clusters 2 1")
	s.wantAck("endpoints e1")
	s.wantNothing()
}

func TestRewarmAfterReconnect(t *testing.T) {
	t.Parallel()
	c := New()
	c1, e1, e2 := edsCluster("c1", 2), res(eds, "c1", "e1"), res(eds, "c2", "e2")
	c.Publish("s", set(c1, edsCluster("c2", 1), e1, e2))
	d := newDelta(t, c, "s")
	d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: cds, InitialResourceVersions: map[string]string{
		"c1": edsCluster("c1", 1).Version(), "c2": edsCluster("c2", 1).Version()}})
	d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: eds, ResourceNamesSubscribe: []string{"c1", "c2"},
		InitialResourceVersions: map[string]string{"c1": e1.Version(), "c2": e2.Version()}})
	d.wantAck("clusters +c1=2")
	d.wantAck("endpoints +c1=e1")
	d.wantNothing()
}
