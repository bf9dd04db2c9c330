package cache

import (
	"errors"
	"fmt"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

func TestDeltaWildcard(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(res(lds, "a", "a1"), res(lds, "b", "b1")))
	d := newDelta(t, c, "s")
	d.subscribe(lds) // the legacy wildcard: no names
	d.wantAck("listeners +a=a1 +b=b1")
	d.wantNothing()

	c.Publish("s", set(res(lds, "a", "a1"), res(lds, "b", "b2"), res(lds, "c", "c1")))
	resp := d.want("listeners +b=b2 +c=c1")
	c.Publish("s", del(lds, "a"))
	c.Publish("s", set(res(lds, "b", "b3")))
	d.wantNothing() // until the last response is acknowledged
	d.ack(resp)
	d.wantAck("listeners +b=b3 -a")

	c.Publish("s", set(res(lds, "a", "a2")))
	c.Publish("s", del(lds, "a", "unheard-of"))
	resp = d.want("listeners +a=a2")
	d.ack(resp)
	d.wantAck("listeners -a")
	d.wantNothing()
}

func TestDeltaWildcardOfNothingIsAnswered(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", Update{})
	d := newDelta(t, c, "s")
	d.subscribe(cds, "*")
	d.wantAck("clusters")
	d.wantNothing()
}

func TestDeltaByName(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(res(rds, "a", "a1"), res(rds, "b", "b1"), res(rds, "c", "c1")))
	d := newDelta(t, c, "s")
	d.subscribe(rds, "a", "missing")
	d.wantAck("routes +a=a1 -missing")
	d.wantNothing() // a missing name is reported once

	c.Publish("s", set(res(rds, "b", "b2"))) // somebody else's
	d.wantNothing()
	d.subscribe(rds, "b")
	d.wantAck("routes +b=b2")
	c.Publish("s", set(res(rds, "missing", "m1")))
	d.wantAck("routes +missing=m1")
	c.Publish("s", del(rds, "a"))
	d.wantAck("routes -a")

	d.unsubscribe(rds, "b")
	d.wantNothing()
	c.Publish("s", set(res(rds, "b", "b3"), res(rds, "a", "a2")))
	d.wantAck("routes +a=a2")
	d.subscribe(rds, "b")
	d.wantAck("routes +b=b3")
	// A client may have forgotten what it subscribes to again.
	d.subscribe(rds, "b")
	d.wantAck("routes +b=b3")

	d.unsubscribe(rds, "a", "b", "missing")
	c.Publish("s", set(res(rds, "a", "a9"), res(rds, "b", "b9"), res(rds, "missing", "m9")))
	d.wantNothing()
}

func TestDeltaSubscribesToNothing(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(res(rds, "a", "a1")))
	d := newDelta(t, c, "s")
	d.subscribe(rds) // only listeners and clusters have a legacy wildcard
	d.wantNothing()
	d.subscribe(rds, "a")
	d.wantAck("routes +a=a1")
}

func TestDeltaSubscriptionChangesWhileAResponseIsOut(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(res(rds, "a", "a1"), res(rds, "b", "b1")))
	d := newDelta(t, c, "s")
	d.subscribe(rds, "a")
	first := d.want("routes +a=a1")
	c.Publish("s", del(rds, "a"))
	d.subscribe(rds, "b") // not an acknowledgement
	second := d.want("routes +b=b1 -a")
	d.ack(first)
	d.ack(second)
	d.wantNothing()
	c.Publish("s", set(res(rds, "a", "a2")))
	d.wantAck("routes +a=a2")
}

func TestDeltaWildcardAndNames(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(res(lds, "a", "a1"), res(lds, "b", "b1")))
	d := newDelta(t, c, "s")
	d.subscribe(lds, "a")
	d.wantAck("listeners +a=a1")
	d.subscribe(lds, "*", "missing")
	resp := d.want("listeners +a=a1 +b=b1 -missing")
	c.Publish("s", del(lds, "b"))
	d.ack(resp)
	d.wantAck("listeners -b")
	// The protocol wants an answer to a name that is unsubscribed from beside a wildcard.
	d.unsubscribe(lds, "a", "missing")
	d.wantAck("listeners +a=a1 -missing")
	d.unsubscribe(lds, "*")
	c.Publish("s", set(res(lds, "a", "a2")))
	d.wantNothing()
	d.subscribe(lds, "*")
	d.wantAck("listeners +a=a2")
}

func TestDeltaRemovedWhileTurningToWildcard(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(res(lds, "a", "a1")))
	d := newDelta(t, c, "s")
	d.subscribe(lds, "a")
	resp := d.want("listeners +a=a1")
	c.Publish("s", del(lds, "a"))
	d.subscribe(lds, "*")
	d.ack(resp)
	d.wantAck("listeners -a")
}

func TestDeltaReconnect(t *testing.T) {
	t.Parallel()
	a, b, n := res(lds, "a", "a1"), res(lds, "b", "b1"), res(lds, "new", "n1")
	known := map[string]string{"a": a.Version(), "b": "older", "gone": "any"}
	tests := []struct {
		name        string
		subscribe   []string
		want, after string
	}{
		{"wildcard", nil, "listeners +b=b1 +new=n1 -gone", "listeners +a=a2 -b"},
		{"explicit wildcard", []string{"*"}, "listeners +b=b1 +new=n1 -gone", "listeners +a=a2 -b"},
		{"by name", []string{"a", "b", "gone", "missing"}, "listeners +b=b1 -gone -missing", "listeners +a=a2 -b"},
		{"some of it", []string{"a"}, "nothing", "listeners +a=a2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := New()
			c.Publish("s", set(a, b, n))
			d := newDelta(t, c, "s")
			versions := map[string]string{}
			for name, version := range known {
				versions[name] = version
			}
			d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: lds, ResourceNamesSubscribe: test.subscribe, InitialResourceVersions: versions})
			if resp := d.want(test.want); resp != nil {
				d.ack(resp)
			}
			d.wantNothing()
			c.Publish("s", Update{Set: []*Resource{res(lds, "a", "a2")}, Delete: []Name{{lds, "b"}}})
			d.wantAck(test.after)
		})
	}
}

func TestDeltaReconnectWithEverything(t *testing.T) {
	t.Parallel()
	c := New()
	a := res(lds, "a", "a1")
	c.Publish("s", set(a))
	d := newDelta(t, c, "s")
	d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: lds, InitialResourceVersions: map[string]string{"a": a.Version()}})
	d.wantAck("listeners") // a wildcard is answered, with nothing that the client has
	c.Publish("s", del(lds, "a"))
	d.wantAck("listeners -a")
}

func TestDeltaRejectionIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{{"*"}, {"bad", "good"}} {
		c := New()
		c.Publish("s", set(res(lds, "good", "g1"), res(lds, "bad", "b1")))
		d := newDelta(t, c, "s")
		d.subscribe(lds, names...)
		d.nack(d.want("listeners +bad=b1 +good=g1"))
		d.wantNothing()
		c.Publish("s", set(res(lds, "good", "g2")))
		d.nack(d.want("listeners +good=g2"))
		d.wantNothing()
		c.Publish("s", set(res(lds, "bad", "b1"), res(lds, "good", "g2")))
		d.wantNothing()
		c.Publish("s", set(res(lds, "bad", "b2")))
		d.wantAck("listeners +bad=b2")
	}
}

func TestDeltaUnpublishedScope(t *testing.T) {
	t.Parallel()
	c := New()
	d := newDelta(t, c, "s")
	d.subscribe(cds)
	d.subscribe(rds, "r", "missing")
	d.subscribe(lds)
	d.subscribe(rds, "later")
	d.wantNothing()
	c.Publish("s", set(res(rds, "r", "r1"), res(lds, "l", "l1"), res(rds, "later", "x1")))
	d.wantAck("clusters")
	d.wantAck("listeners +l=l1")
	d.wantAck("routes +later=x1 +r=r1 -missing")
	d.wantNothing()

	c.Withdraw("s")
	d.wantAck("listeners -l")
	d.wantAck("routes -later -r")
	late := newDelta(t, c, "s")
	late.subscribe(lds)
	late.wantNothing()
	c.Publish("s", set(res(lds, "l", "l2")))
	d.wantAck("listeners +l=l2")
	late.wantAck("listeners +l=l2")
}

func TestScopesAreForgotten(t *testing.T) {
	t.Parallel()
	c := New()
	d := newDelta(t, c, "s")
	d.subscribe(lds)
	if c.Published("s") || c.Published("other") || len(c.Resources("other")) > 0 {
		t.Error("scopes exist that were never published")
	}
	if got := names(c.scopes); len(got) != 1 {
		t.Errorf("scopes %q, want only the watched one", got)
	}
	d.close()
	if got := names(c.scopes); len(got) != 0 {
		t.Errorf("scopes %q after the stream ended, want none", got)
	}
	c.Publish("s", set(res(lds, "a", "a1")))
	c.Publish("s", del(lds, "a"))
	if !c.Published("s") {
		t.Error("a published scope is forgotten when it becomes empty")
	}
	c.Withdraw("s")
	if got := names(c.scopes); len(got) != 0 {
		t.Errorf("scopes %q after the last was withdrawn, want none", got)
	}
}

// TestDeltaBehindTheLog publishes more than a log keeps while a client is slow.
func TestDeltaBehindTheLog(t *testing.T) {
	t.Parallel()
	c := New()
	c.keep = 8
	c.Publish("s", set(res(lds, "a", "a0"), res(lds, "b", "b0")))
	wild, named := newDelta(t, c, "s"), newDelta(t, c, "s")
	wild.subscribe(lds)
	named.subscribe(lds, "a", "b", "c")
	slow := wild.want("listeners +a=a0 +b=b0")
	slowNamed := named.want("listeners +a=a0 +b=b0 -c")
	for i := range 10 * minTrim {
		c.Publish("s", set(res(lds, "a", fmt.Sprintf("a%d", i+1)), res(lds, "c", fmt.Sprintf("c%d", i+1))))
	}
	c.Publish("s", del(lds, "b"))
	if n := len(c.scopes["s"].tables[kindOf(lds)].log); n > 2*minTrim {
		t.Errorf("the log has %d changes of 3 resources", n)
	}
	wild.ack(slow)
	named.ack(slowNamed)
	slow = wild.want("listeners +a=a640 +c=c640 -b")
	slowNamed = named.want("listeners +a=a640 +c=c640 -b")

	// Removals, too, are kept for a while only.
	for i := range 4 * minTrim {
		c.Publish("s", set(res(lds, fmt.Sprintf("x%d", i), "x")))
		c.Publish("s", del(lds, fmt.Sprintf("x%d", i)))
	}
	c.Publish("s", del(lds, "a"))
	for i := range 4 * minTrim {
		c.Publish("s", set(res(lds, fmt.Sprintf("y%d", i), "y")))
		c.Publish("s", del(lds, fmt.Sprintf("y%d", i)))
	}
	if n := len(c.scopes["s"].tables[kindOf(lds)].entries); n > 2*minTrim+c.keep {
		t.Errorf("%d resources are remembered, of which 1 exists", n)
	}
	named.ack(slowNamed)
	named.wantAck("listeners -a -b")
	wild.ack(slow)
	if wild.err == nil {
		t.Fatal("a client that can't be told what was removed was not asked to reconnect")
	}
	again := newDelta(t, c, "s")
	again.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: lds, InitialResourceVersions: map[string]string{
		"a": "any", "c": res(lds, "c", "c640").Version()}})
	again.wantAck("listeners -a")
}

// TestIdleClientBehind has a client that has answered everything, and keeps a route table for which the removal of clusters is held back,
// miss more removals than are kept: its stream ends with the next change, without a request of its own.
func TestIdleClientBehind(t *testing.T) {
	t.Parallel()
	c := New()
	c.keep = 8
	clusters, removal := set(), Update{}
	for i := range 2 * minTrim {
		cluster := edsCluster(fmt.Sprint("c", i), 1)
		clusters.Set = append(clusters.Set, cluster)
		removal.Delete = append(removal.Delete, Name{cds, cluster.Name()})
	}
	c.Publish("s", clusters)
	c.Publish("s", set(res(rds, "r", "old")))
	d := newDelta(t, c, "s")
	d.subscribe(cds)
	d.ack(d.next())
	d.subscribe(rds, "r")
	d.wantAck("routes +r=old")
	c.Publish("s", set(res(rds, "r", "bad")))
	d.nack(d.want("routes +r=bad"))
	d.wantAck("routes +r=old")
	c.Publish("s", removal)
	d.wantNothing()
	if d.err != nil {
		t.Fatal(d.err)
	}

	c.Publish("s", set(edsCluster("new", 1), res(rds, "r", "new")))
	d.wantNothing()
	if !errors.Is(d.err, ErrBehind) {
		t.Fatalf("a client that can't be told what was removed is told %v", d.err)
	}
	c.Publish("s", set(edsCluster("new", 2)))
	d.wantNothing()
	again := newDelta(t, c, "s")
	again.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: cds, InitialResourceVersions: map[string]string{"c0": "any"}})
	again.wantAck("clusters +new=2")
	again.wantAck("clusters -c0")
}

// TestLogIsTrimmed holds that nothing is remembered for clients that are up to date.
func TestLogIsTrimmed(t *testing.T) {
	t.Parallel()
	c := New()
	var live []*Resource
	for i := range 10 * minTrim {
		live = append(live, res(lds, fmt.Sprintf("a%d", i), "a"))
	}
	c.Publish("s", set(live...))
	d := newDelta(t, c, "s")
	d.subscribe(lds)
	d.ack(d.next())
	for i := range 10 * minTrim {
		name := fmt.Sprintf("x%d", i)
		c.Publish("s", set(res(lds, name, "x")))
		d.wantAck("listeners +" + name + "=x")
		c.Publish("s", del(lds, name))
		d.wantAck("listeners -" + name)
	}
	table := &c.scopes["s"].tables[kindOf(lds)]
	if len(table.log) > minTrim+1 || len(table.entries) > len(live)+minTrim+1 {
		t.Errorf("log of %d, %d resources remembered, of which %d exist", len(table.log), len(table.entries), len(live))
	}
}

func TestUnservedTypes(t *testing.T) {
	t.Parallel()
	const runtime = "type.googleapis.com/envoy.service.runtime.v3.Runtime"
	c := New()
	c.Publish("s", Update{})
	d := newDelta(t, c, "s")
	d.subscribe(runtime, "r")
	d.wantNothing()
	s := newState(t, c, "s")
	s.subscribe(runtime, nil, "r")
	s.wantNothing()
	defer func() {
		if recover() == nil {
			t.Error("publishing a type that is not served did not panic")
		}
	}()
	c.Publish("other", set(res(runtime, "r", "1")))
}
