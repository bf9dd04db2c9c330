package cache

import (
	"fmt"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// retained counts what a scope keeps: changes, entries and old versions of resources, and for its streams.
func retained(s *scope) int {
	n := len(s.events) + len(s.changed) + len(s.remembered)
	for i := range s.tables {
		t := &s.tables[i]
		n += len(t.log) + len(t.entries) + len(t.parked) + len(t.spare)
		for _, e := range t.entries {
			if e.good != nil {
				n++
			}
		}
	}
	for st := range s.streams {
		n += len(st.rewarm)
		for _, w := range st.watches {
			if w != nil {
				n += len(w.pending) + len(w.rejected) + len(w.holds) + len(w.lacks) + len(w.again) + len(w.stale)
			}
		}
	}
	return n
}

// TestSlowClientsCostNothing has clients that acknowledge nothing, some of which go on asking, while much changes.
func TestSlowClientsCostNothing(t *testing.T) {
	t.Parallel()
	c := New()
	c.keep = 100
	c.Publish("s", set(res(lds, "l0", "0"), edsCluster("c0", 0)))
	for range 3 {
		d, s := newDelta(t, c, "s"), newState(t, c, "s")
		for _, typeURL := range []string{cds, lds} {
			d.subscribe(typeURL)
			s.subscribe(typeURL, nil)
		}
	}
	quick, asking := newDelta(t, c, "s"), newDelta(t, c, "s")
	quick.subscribe(lds)
	asking.subscribe(lds)
	change := func(i int) {
		c.Publish("s", Update{
			Set:    []*Resource{res(lds, fmt.Sprint("l", i%10), fmt.Sprint(i)), edsCluster(fmt.Sprint("c", i%10), int64(i)), res(lds, fmt.Sprint("once", i), "")},
			Delete: []Name{{lds, fmt.Sprint("once", i-1)}},
		})
		if resp := quick.next(); resp != nil {
			if i%7 == 0 {
				quick.nack(resp)
			} else {
				quick.ack(resp)
			}
		}
		asking.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: lds, ResourceNamesSubscribe: []string{"l1"}})
		asking.next()
	}
	for i := range 1_000 {
		change(i)
	}
	before := retained(c.scopes["s"])
	for i := 1_000; i < 10_000; i++ {
		change(i)
	}
	if after := retained(c.scopes["s"]); after > before+500 {
		t.Errorf("%d things are kept after 10,000 changes, %d after 1,000", after, before)
	}
}

// TestGoodIsKeptWhileItIsNeeded follows how long there is an older version.
func TestGoodIsKeptWhileItIsNeeded(t *testing.T) {
	t.Parallel()
	c := New()
	good := func() string {
		if e := c.scopes["s"].tables[kindOf(lds)].entries["l"]; e.good != nil {
			return string(e.good.Any().GetValue())
		}
		return ""
	}
	want := func(want string) {
		t.Helper()
		if got := good(); got != want {
			t.Errorf("%q is kept, want %q", got, want)
		}
	}
	c.Publish("s", set(res(lds, "l", "1")))
	a, b := newDelta(t, c, "s"), newDelta(t, c, "s")
	for _, d := range []*deltaClient{a, b} {
		d.subscribe(lds)
		d.wantAck("listeners +l=1")
	}
	want("")
	c.Publish("s", set(res(lds, "l", "2")))
	want("1")
	a.wantAck("listeners +l=2")
	want("1") // b may reject it
	b.wantAck("listeners +l=2")
	want("")
	c.Publish("s", set(res(lds, "l", "3")))
	a.wantAck("listeners +l=3")
	want("2")
	b.close()
	want("")
	c.Publish("s", set(res(lds, "l", "4")))
	unread := a.want("listeners +l=4")
	c.Publish("s", set(res(lds, "l", "5")))
	want("3")
	a.ack(unread) // late, but better
	want("4")
	a.nack(a.want("listeners +l=5"))
	want("4")
	a.wantAck("listeners +l=4")
	c.Publish("s", del(lds, "l"))
	a.wantAck("listeners -l")
}
