package cache

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// TestNewAndLate follows streams from when they are opened until they are current, or late.
func TestNewAndLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New("base")
		var told atomic.Int32
		c.OnDelivery(func(string) { told.Add(1) })
		want := func(what string, streams, current, isNew, late int) {
			t.Helper()
			d := c.Delivery("base/s")
			if d.Streams != streams || d.Current != current || d.New != isNew || d.Late != late {
				t.Errorf("%s: %+v, want %d streams, %d current, %d new, %d late", what, d, streams, current, isNew, late)
			}
			if told.Swap(0) == 0 {
				t.Errorf("%s: nobody is told", what)
			}
		}
		c.Publish("base/s", set(res(lds, "l", "1")))
		quick, slow := newDelta(t, c, "base/s"), newDelta(t, c, "base/s")
		c.Observer("base/s", nil).Close()
		want("opened", 2, 0, 2, 0)
		quick.subscribe(lds)
		quick.wantAck("listeners +l=1")
		want("one has it", 2, 1, 1, 0)
		time.Sleep(lateAfter - time.Second)
		next := newDelta(t, c, "base/s")
		want("before it is late", 3, 1, 2, 0)
		time.Sleep(time.Second)
		synctest.Wait()
		want("the first is late", 3, 1, 1, 1)
		c.Publish("base", set(edsCluster("c", 1)))
		want("something else is published", 3, 1, 0, 1)
		time.Sleep(lateAfter - time.Second)
		synctest.Wait()
		want("the next one is late", 3, 1, 0, 2)
		slow.subscribe(lds)
		slow.wantAck("listeners +l=1")
		next.close()
		want("nobody is late", 2, 2, 0, 0)

		c.Publish("base/s", set(res(lds, "l", "2")))
		quick.wantAck("listeners +l=2")
		want("who was current isn't new", 2, 1, 0, 0)
		time.Sleep(lateAfter)
		synctest.Wait()
		want("but may be late", 2, 1, 0, 1)
		slow.wantAck("listeners +l=2")
		want("all have it", 2, 2, 0, 0)
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := told.Load(); n != 0 {
			t.Errorf("told %d times of nothing", n)
		}
	})
}

// TestNewHasNothingElse: a client isn't new that comes with something else than what is published, is served that, or rejects what is.
func TestNewHasNothingElse(t *testing.T) {
	t.Parallel()
	c := New()
	a, b := res(lds, "l", "1"), res(lds, "l", "2")
	c.Publish("s", set(a))
	c.Publish("s", set(b))
	for _, tt := range []struct {
		name  string
		isNew int
		has   map[string]string
	}{
		{"nothing", 1, nil},
		{"what is published", 1, map[string]string{"l": b.Version()}},
		{"an older version", 0, map[string]string{"l": a.Version()}},
		{"what is gone", 0, map[string]string{"l": b.Version(), "gone": b.Version()}},
	} {
		t.Run("delta client that has "+tt.name, func(t *testing.T) {
			d := newDelta(t, c, "s")
			d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: lds, InitialResourceVersions: tt.has})
			if got := c.Delivery("s").New; got != tt.isNew {
				t.Errorf("%d are new", got)
			}
		})
	}
	for _, tt := range []struct {
		name, has string
		isNew     int
	}{
		{"nothing", "", 1},
		{"what is published", version(b.sum), 1},
		{"an older version", version(a.sum), 0},
	} {
		t.Run("state-of-the-world client that has "+tt.name, func(t *testing.T) {
			s := newState(t, c, "s")
			s.send(&discoveryv3.DiscoveryRequest{TypeUrl: lds, VersionInfo: tt.has})
			if got := c.Delivery("s").New; got != tt.isNew {
				t.Errorf("%d are new", got)
			}
		})
	}

	c.Publish("rejecting", set(a))
	before := newDelta(t, c, "rejecting")
	before.subscribe(lds)
	before.wantAck("listeners +l=1")
	c.Publish("rejecting", set(b))
	rejects, later := newDelta(t, c, "rejecting"), newDelta(t, c, "rejecting")
	rejects.subscribe(lds)
	rejects.reject(rejects.want("listeners +l=2"), "no")
	if d := c.Delivery("rejecting"); d.New != 1 || d.Rejecting != 1 {
		t.Errorf("when one of two has rejected it: %+v", d)
	}
	later.subscribe(lds)
	if d := c.Delivery("rejecting"); d.New != 0 {
		t.Errorf("when the other one is served something else: %+v", d)
	}
}
