package cache

import "testing"

func TestStateWildcard(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(res(lds, "a", "a1"), res(lds, "b", "b1")))
	s := newState(t, c, "s")
	s.subscribe(lds, nil)
	first := s.wantAck("listeners a1 b1")
	s.wantNothing()
	c.Publish("s", set(res(lds, "b", "b2")))
	resp := s.want("listeners a1 b2") // all of it: what is missing has been removed
	if resp.GetVersionInfo() == first.GetVersionInfo() {
		t.Error("another content has the same version")
	}
	c.Publish("s", del(lds, "a"))
	s.wantNothing()
	s.ack(resp)
	s.wantAck("listeners b2")
	c.Publish("s", set(res(lds, "a", "a1"), res(lds, "b", "b1")))
	if resp := s.wantAck("listeners a1 b1"); resp.GetVersionInfo() != first.GetVersionInfo() {
		t.Error("the same content has another version")
	}
	s.wantNothing()
}

func TestStateWildcardOfNothingIsAnswered(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", Update{})
	s := newState(t, c, "s")
	s.subscribe(cds, nil)
	s.wantAck("clusters")
	s.wantNothing()
}

// TestStateFullByName is what a proxyless gRPC client does: it asks for listeners and clusters by name.
func TestStateFullByName(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(res(lds, "a", "a1"), res(lds, "b", "b1"), res(lds, "c", "c1")))
	s := newState(t, c, "s")
	s.subscribe(lds, nil, "a", "missing")
	last := s.wantAck("listeners a1") // absence is the answer to the missing one
	s.wantNothing()
	c.Publish("s", set(res(lds, "c", "c2")))
	s.wantNothing()
	s.subscribe(lds, last, "a", "b", "missing")
	s.wantAck("listeners a1 b1")
	c.Publish("s", set(res(lds, "missing", "m1")))
	last = s.wantAck("listeners a1 b1 m1")
	s.subscribe(lds, last, "a")
	s.wantNothing()
	c.Publish("s", del(lds, "a", "b"))
	last = s.wantAck("listeners")
	s.subscribe(lds, last) // unsubscribes from everything
	c.Publish("s", set(res(lds, "a", "a2")))
	s.wantNothing()
	s.subscribe(lds, last, "a")
	s.wantAck("listeners a2")
	s.subscribe(lds, last, "*")
	s.wantAck("listeners a2 c2 m1")
}

func TestStateByName(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(res(rds, "a", "a1"), res(rds, "b", "b1")))
	s := newState(t, c, "s")
	s.subscribe(rds, nil) // no wildcard for this type
	s.wantNothing()
	s.subscribe(rds, nil, "a", "missing")
	last := s.wantAck("routes a1")
	s.wantNothing()
	s.subscribe(rds, last, "a", "b", "missing")
	s.wantAck("routes b1") // only what is new to the client
	c.Publish("s", set(res(rds, "missing", "m1")))
	s.wantAck("routes m1")
	c.Publish("s", del(rds, "a")) // can't be said in this protocol
	s.wantNothing()
	c.Publish("s", set(res(rds, "a", "a2"), res(rds, "b", "b2")))
	last = s.wantAck("routes a2 b2")
	s.subscribe(rds, last, "b")
	s.wantNothing()
	s.subscribe(rds, last, "a", "b")
	s.wantAck("routes a2")
}

func TestStateRejectionIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{nil, {"bad", "good"}} {
		c := New()
		c.Publish("s", set(res(lds, "good", "g1"), res(lds, "bad", "b1"), res(rds, "bad", "b1"), res(rds, "good", "g1")))
		s := newState(t, c, "s")
		s.subscribe(lds, nil, names...)
		s.subscribe(rds, nil, "bad", "good")
		s.nack(s.want("listeners b1 g1"))
		s.nack(s.want("routes b1 g1"))
		s.wantNothing()
		c.Publish("s", set(res(lds, "good", "g2"), res(rds, "good", "g2")))
		s.nack(s.want("listeners g2")) // one response for each change, because it holds everything
		s.wantAck("routes g2")
		s.wantNothing()
		c.Publish("s", set(res(lds, "bad", "b2"), res(rds, "bad", "b2")))
		s.wantAck("listeners b2")
		s.wantAck("routes b2")
		s.wantNothing()
	}
}

func TestStateUnpublishedScope(t *testing.T) {
	t.Parallel()
	c := New()
	s := newState(t, c, "s")
	s.subscribe(cds, nil)
	s.subscribe(lds, nil, "missing")
	s.subscribe(rds, nil, "r")
	s.wantNothing()
	c.Publish("s", set(res(rds, "r", "r1")))
	s.wantAck("clusters")
	s.wantAck("listeners")
	s.wantAck("routes r1")
	s.wantNothing()
}

// TestStateDroppedResponse covers that go-control-plane drops a response if a request of the same type comes first.
func TestStateDroppedResponse(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{nil, {"a", "b"}} {
		c := New()
		c.Publish("s", set(res(lds, "a", "a1"), res(lds, "b", "b1")))
		s := newState(t, c, "s")
		s.subscribe(lds, nil, names...)
		last := s.wantAck("listeners a1 b1")
		c.Publish("s", set(res(lds, "a", "a2")))
		s.subscribe(lds, last, names...)
		s.wantAck("listeners a2 b1")
	}
}
