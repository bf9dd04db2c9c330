package cache

import "testing"

// TestLayers goes through what can become of a name in a scope that lies over another one.
func TestLayers(t *testing.T) {
	t.Parallel()
	c := New("base")
	d, s := newDelta(t, c, "base/over"), newState(t, c, "base/over")
	d.subscribe(lds)
	s.subscribe(lds, nil)
	d.wantNothing()
	c.Publish("base", set(res(lds, "a", "a1"), res(lds, "b", "b1")))
	if !c.Published("base/over") {
		t.Error("what lies over a published scope is not published")
	}
	both := func(delta, state string) {
		t.Helper()
		d.wantAck(delta)
		s.wantAck(state)
	}
	both("listeners +a=a1 +b=b1", "listeners a1 b1")

	c.Publish("base/over", set(res(lds, "a", "a2"), res(lds, "c", "c1")))
	both("listeners +a=a2 +c=c1", "listeners a2 b1 c1")
	c.Publish("base", set(res(lds, "a", "a3"))) // which is not seen
	d.wantNothing()
	c.Publish("base", set(res(lds, "b", "b2")))
	both("listeners +b=b2", "listeners a2 b2 c1")
	c.Publish("base/over", del(lds, "a", "c"))
	both("listeners +a=a3 -c", "listeners a3 b2")
	c.Publish("base/over", set(res(lds, "b", "b3")))
	both("listeners +b=b3", "listeners a3 b3")
	c.Publish("base", del(lds, "b"))
	d.wantNothing()
	c.Withdraw("base/over")
	both("listeners -b", "listeners a3")

	under := newDelta(t, c, "base")
	c.Publish("base/over", set(res(lds, "d", "d1")))
	under.subscribe(lds)
	under.wantAck("listeners +a=a3")
}

func TestLayersAreForgotten(t *testing.T) {
	t.Parallel()
	c := New("base")
	d := newDelta(t, c, "base/over")
	if got := names(c.scopes); len(got) != 2 {
		t.Errorf("scopes %q, want the one that is watched and the one under it", got)
	}
	c.Publish("base/over", set(res(lds, "a", "a1")))
	d.close()
	c.Withdraw("base/over")
	if got := names(c.scopes); len(got) != 0 {
		t.Errorf("scopes %q after the last was withdrawn, want none", got)
	}
	c.Publish("based/over", Update{}) // lies over nothing
	if got := names(c.scopes); len(got) != 1 {
		t.Errorf("scopes %q, want one", got)
	}
}
