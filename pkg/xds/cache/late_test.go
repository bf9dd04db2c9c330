package cache

import (
	"fmt"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// asksAgain has the client ask for names when it has read a response that it has not looked at, and has a version before that.
func (s *stateClient) asksAgain(read *discoveryv3.DiscoveryResponse, version string, names ...string) {
	s.t.Helper()
	s.send(&discoveryv3.DiscoveryRequest{TypeUrl: read.GetTypeUrl(), ResourceNames: names, ResponseNonce: read.GetNonce(), VersionInfo: version})
}

// crossed returns a client that has r1, and has read that there is r2. Before it looked at that it asked for x as well, and so there is
// a second response.
func crossed(t *testing.T, c *Cache) (s *stateClient, first, second *discoveryv3.DiscoveryResponse) {
	t.Helper()
	c.Publish("s", set(res(rds, "r", "r1"), res(rds, "x", "x1")))
	s = newState(t, c, "s")
	s.subscribe(rds, nil, "r")
	last := s.wantAck("routes r1")
	c.Publish("s", set(res(rds, "r", "r2")))
	first = s.want("routes r2")
	s.asksAgain(first, last.GetVersionInfo(), "r", "x")
	return s, first, s.want("routes x1")
}

func TestLateRejection(t *testing.T) {
	t.Parallel()
	c, events := observed()
	s, first, second := crossed(t, c)
	s.nack(first)
	wantEvents(t, events, "s: <nil> rejected routes r, good is r1")
	s.nack(first)
	s.nack(&discoveryv3.DiscoveryResponse{TypeUrl: rds, Nonce: "99"})
	wantEvents(t, events)
	s.wantNothing()
	d := newDelta(t, c, "s")
	d.subscribe(rds, "r")
	d.wantAck("routes +r=r1")
	s.ack(second)
	s.wantAck("routes r1")
	s.wantNothing()
	wantDelivery(t, c, "s", 2, 0, 1)
	c.Publish("s", set(res(rds, "r", "r3")))
	d.wantAck("routes +r=r3")
	s.wantAck("routes r3")
	wantDelivery(t, c, "s", 2, 2, 0)
}

func TestLateAcknowledgement(t *testing.T) {
	t.Parallel()
	c, events := observed()
	s, first, second := crossed(t, c)
	s.ack(first)
	c.Publish("s", set(res(rds, "r", "r3")))
	d := newDelta(t, c, "s")
	d.subscribe(rds, "r")
	d.nack(d.want("routes +r=r3"))
	wantEvents(t, events, "s: <nil> rejected routes r, good is r2")
	d.wantAck("routes +r=r2")
	s.ack(second)
	s.wantNothing()
}

// TestLateAcknowledgementOfGood has a client reject what is unparked then, and another one acknowledge what was before that: the first
// is served it.
func TestLateAcknowledgementOfGood(t *testing.T) {
	t.Parallel()
	c, events := observed()
	c.Publish("s", set(res(lds, "l", "1")))
	d, slow := newDelta(t, c, "s"), newDelta(t, c, "s")
	slow.subscribe(lds)
	c.Publish("s", set(res(lds, "l", "2")))
	d.subscribe(lds)
	d.nack(d.want("listeners +l=2"))
	wantEvents(t, events, "s: <nil> rejected listeners l, good is nothing")
	c.Unpark("s", Name{lds, "l"}, res(lds, "l", "2").Version())
	d.wantNothing()
	slow.wantAck("listeners +l=1")
	d.wantAck("listeners +l=1")
	d.wantNothing()
	slow.nack(slow.want("listeners +l=2"))
	wantEvents(t, events, "s: <nil> rejected listeners l, good is 1")
	slow.wantAck("listeners +l=1")
	slow.wantNothing()
	d.wantNothing()
	wantDelivery(t, c, "s", 2, 0, 2)
}

// TestLateRejectionOfAll has a client answer responses that list everything. It rejects the first, which the second says nothing of any
// more, but for what is in both.
func TestLateRejectionOfAll(t *testing.T) {
	t.Parallel()
	c, events := observed()
	c.Publish("s", set(res(lds, "l", "l1"), res(lds, "m", "m1")))
	slow := newDelta(t, c, "s")
	slow.subscribe(lds)
	s := newState(t, c, "s")
	s.subscribe(lds, nil)
	last := s.wantAck("listeners l1 m1")
	c.Publish("s", set(res(lds, "l", "l2"), res(lds, "m", "m2")))
	first := s.want("listeners l2 m2")
	s.asksAgain(first, last.GetVersionInfo())
	c.Publish("s", set(res(lds, "l", "l3"), res(lds, "n", "n1")))
	second := s.want("listeners l3 m2 n1")
	s.reject(first, "l: no, m: no")
	s.reject(second, "m: no")
	wantEvents(t, events, "s: <nil> rejected listeners m, good is m1")
	s.wantAck("listeners l3 m1 n1")
	s.wantNothing()
	d := newDelta(t, c, "s")
	d.subscribe(lds)
	d.reject(d.want("listeners +l=l3 +m=m1 +n=n1"), "l: no")
	wantEvents(t, events, "s: <nil> rejected listeners l, good is l1")
}

// TestSkippedVersion has a client acknowledge a response that lists something else instead of what it rejected of the one before.
func TestSkippedVersion(t *testing.T) {
	t.Parallel()
	c, events := observed()
	c.Publish("s", set(res(lds, "l", "l1")))
	slow := newDelta(t, c, "s") // so that what is good is kept
	slow.subscribe(lds)
	s := newState(t, c, "s")
	s.subscribe(lds, nil)
	last := s.wantAck("listeners l1")
	c.Publish("s", set(res(lds, "l", "l2")))
	first := s.want("listeners l2")
	s.asksAgain(first, last.GetVersionInfo())
	c.Publish("s", set(res(lds, "l", "l3")))
	second := s.want("listeners l3")
	s.nack(first)
	s.ack(second)
	d := newDelta(t, c, "s")
	d.subscribe(lds)
	d.nack(d.want("listeners +l=l3"))
	wantEvents(t, events, "s: <nil> rejected listeners l, good is l1")
	d.wantAck("listeners +l=l1")
}

// TestAskingAcknowledgesNothing has a client ask for what it has, when it may still use a cluster that the response before that replaced.
func TestAskingAcknowledgesNothing(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(edsCluster("c1", 1), res(rds, "r", "c1")))
	s := newState(t, c, "s")
	s.subscribe(cds, nil)
	s.wantAck("clusters 1")
	s.subscribe(rds, nil, "r")
	last := s.wantAck("routes c1")
	c.Publish("s", Update{Set: []*Resource{edsCluster("c2", 2), res(rds, "r", "c2")}, Delete: []Name{{cds, "c1"}}})
	s.wantAck("clusters 2 1")
	resp := s.want("routes c2")
	s.asksAgain(resp, last.GetVersionInfo(), "r")
	s.wantNothing()
	s.ack(resp)
	s.wantAck("clusters 2")
	wantDelivery(t, c, "s", 1, 1, 0)
}

// TestNothingAskedFor has a client stop asking before it looked at a response, which Envoy neither acknowledges nor rejects then.
func TestNothingAskedFor(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(res(rds, "r", "r1")))
	s := newState(t, c, "s")
	s.subscribe(rds, nil, "r")
	s.asksAgain(s.want("routes r1"), "")
	s.wantNothing()
	wantDelivery(t, c, "s", 1, 1, 0)
}

// TestDropKeepsWhatIsParked drops a response to a client that has accepted what another one rejected.
func TestDropKeepsWhatIsParked(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(res(rds, "r", "r1"), res(rds, "x", "x1")))
	s, d := newState(t, c, "s"), newDelta(t, c, "s")
	s.subscribe(rds, nil, "r", "x")
	s.wantAck("routes r1 x1")
	d.subscribe(rds, "r")
	d.wantAck("routes +r=r1")
	c.Publish("s", set(res(rds, "r", "r2")))
	last := s.wantAck("routes r2")
	d.nack(d.want("routes +r=r2"))
	d.wantAck("routes +r=r1")
	c.Publish("s", set(res(rds, "x", "x2")))
	s.subscribe(rds, last, "r", "x")
	s.wantAck("routes x2")
	s.wantNothing()
	wantDelivery(t, c, "s", 2, 1, 1)
}

// TestDropKeepsWhatIsSentAgain drops a response with what the client has accepted, and another one has rejected since.
func TestDropKeepsWhatIsSentAgain(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(edsCluster("c1", 1), res(eds, "c1", "e1"), res(eds, "x", "x1")))
	s, d := newState(t, c, "s"), newDelta(t, c, "s")
	s.subscribe(cds, nil)
	s.wantAck("clusters 1")
	s.subscribe(eds, nil, "c1")
	s.wantAck("endpoints e1")
	d.subscribe(eds, "c1")
	d.wantAck("endpoints +c1=e1")
	c.Publish("s", set(res(eds, "c1", "e2")))
	last := s.wantAck("endpoints e2")
	c.Publish("s", set(edsCluster("c1", 2))) // which waits for its endpoints
	d.nack(d.want("endpoints +c1=e2"))
	d.wantAck("endpoints +c1=e1")
	s.subscribe(eds, last, "c1", "x")
	s.wantAck("clusters 2")
	s.wantAck("endpoints e2 x1")
	s.wantNothing()
	wantDelivery(t, c, "s", 2, 1, 1)
}

// TestRejectedAndGone has a client reject a cluster that is gone by then, and what it is sent instead. Its route may still use both.
func TestRejectedAndGone(t *testing.T) {
	t.Parallel()
	c, events := observed()
	c.Publish("s", set(edsCluster("c1", 1), res(rds, "r", "c1")))
	s, d := newState(t, c, "s"), newDelta(t, c, "s")
	s.subscribe(cds, nil)
	s.wantAck("clusters 1")
	s.subscribe(rds, nil, "r")
	s.wantAck("routes c1")
	c.Publish("s", set(edsCluster("c1", 2)))
	first := s.want("clusters 2")
	d.subscribe(cds)
	d.nack(d.want("clusters +c1=2"))
	wantEvents(t, events, "s: <nil> rejected clusters c1, good is 1")
	c.Publish("s", Update{Set: []*Resource{edsCluster("c3", 3), res(rds, "r", "c3")}, Delete: []Name{{cds, "c1"}}})
	wantEvents(t, events, "s: clusters c1 lifted")
	s.asksAgain(first, "")
	second := s.want("clusters 3 2")
	s.reject(first, "c1: no")
	s.reject(second, "c1: no")
	s.reject(s.want("clusters 3 1"), "c1: no")
	wantEvents(t, events)
	s.wantAck("routes c3")
	s.wantAck("clusters 3")
	s.wantNothing()
}

// TestDropAfterTrim has a response dropped after the changes in it have left the log: what the client rejects of the next one is news all
// the same.
func TestDropAfterTrim(t *testing.T) {
	t.Parallel()
	c, events := observed()
	c.Publish("s", set(res(lds, "l", "l1")))
	slow := newDelta(t, c, "s") // so that what is good is kept
	slow.subscribe(lds)
	s := newState(t, c, "s")
	s.subscribe(lds, nil)
	last := s.wantAck("listeners l1")
	slow.wantAck("listeners +l=l1")
	c.Publish("s", set(res(lds, "l", "l2")))
	slow.want("listeners +l=l2")
	for i := range 2 * minTrim {
		c.Publish("s", set(res(lds, "m", fmt.Sprint("m", i))))
		slow.next()
	}
	s.subscribe(lds, last)
	s.reject(s.want(fmt.Sprint("listeners l2 m", 2*minTrim-1)), "l: no")
	wantEvents(t, events, "s: <nil> rejected listeners l, good is l1")
}
