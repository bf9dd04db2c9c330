package cache

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestOnCurrent: what is told is the time from a change, or the beginning, to the acknowledgement of all that there is.
func TestOnCurrent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []time.Duration
		c := New()
		c.OnCurrent(func(after time.Duration) { told = append(told, after) })
		want := func(what string, want ...time.Duration) {
			t.Helper()
			if !slices.Equal(told, want) {
				t.Errorf("%s: told %v, want %v", what, told, want)
			}
			told = nil
		}
		c.Publish("s", set(res(lds, "l", "1"), res(cds, "c", "1")))
		time.Sleep(time.Hour)
		d := newDelta(t, c, "s")
		time.Sleep(time.Second)
		d.subscribe(cds)
		d.subscribe(lds)
		d.wantAck("clusters +c=1")
		want("half of it")
		time.Sleep(time.Second)
		d.wantAck("listeners +l=1")
		want("from the beginning", 2*time.Second)

		time.Sleep(time.Hour)
		c.Publish("s", set(res(rds, "r", "1")))
		want("nothing for this client")
		c.Publish("s", set(res(lds, "l", "2")))
		second := d.want("listeners +l=2")
		time.Sleep(time.Millisecond)
		d.ack(second)
		want("a change", time.Millisecond)

		c.Publish("s", set(res(lds, "l", "3")))
		time.Sleep(time.Second)
		d.reject(d.want("listeners +l=3"), "no")
		d.wantAck("listeners +l=2")
		want("a rejection")
		c.Publish("s", set(res(lds, "l", "4")))
		d.wantAck("listeners +l=4")
		want("what mends it", time.Second)
		c.Publish("s", set(res(lds, "l", "5")))
		d.close()
		want("one that has gone")
	})
}

// TestMoved: who opened a stream is told when its client comes to be current, lacks something or rejects it, be it sent something or not.
func TestMoved(t *testing.T) {
	t.Parallel()
	c, told := New(), 0
	d := newDelta(t, c, "s")
	d.stream.Close()
	d.stream = c.Stream("s", nil, func() {
		told++
		d.stream.Rejected() // no lock is held
	})
	want := func(what string, times int) {
		t.Helper()
		if told != times {
			t.Errorf("%s: told %d times, want %d", what, told, times)
		}
		told = 0
	}
	c.Publish("s", set(res(lds, "l", "1")))
	d.subscribe(lds)
	want("on its way", 0)
	d.wantAck("listeners +l=1")
	want("current", 1)
	c.Publish("s", set(res(rds, "r", "1")))
	want("nothing for this client", 0)

	parked := res(lds, "l", "2")
	c.Park("s", Name{lds, "l"}, parked.Version(), nil)
	want("not published", 0)
	c.Publish("s", set(parked))
	d.wantNothing()
	want("parked", 1)
	c.Unpark("s", Name{lds, "l"}, parked.Version())
	want("not parked", 0)
	d.nack(d.want("listeners +l=2"))
	want("rejected", 1)
	c.Publish("s", del(lds, "l"))
	want("nothing to reject any more", 1)
	d.wantAck("listeners +l=1")
	d.wantAck("listeners -l")
	want("current", 1)
	d.close()
	want("closed", 0)
}
