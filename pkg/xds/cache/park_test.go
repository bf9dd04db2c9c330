package cache

import (
	"fmt"
	"slices"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// observed returns a cache that notes what its hooks are told.
func observed(bases ...string) (*Cache, *[]string) {
	c, events := New(bases...), &[]string{}
	c.OnReject(func(r Rejection) {
		good := "nothing"
		if r.Good != nil {
			good = text(r.Good.TypeURL(), r.Good.Any().GetValue())
		}
		*events = append(*events, fmt.Sprintf("%s: %v rejected %s %s, good is %s", r.Scope, r.Node, shortTypes[r.Name.TypeURL], r.Name.Name, good))
	})
	c.OnLift(func(scope string, name Name, _ string) {
		*events = append(*events, fmt.Sprintf("%s: %s %s lifted", scope, shortTypes[name.TypeURL], name.Name))
	})
	return c, events
}

func wantEvents(t *testing.T, events *[]string, want ...string) {
	t.Helper()
	if !slices.Equal(*events, want) {
		t.Errorf("got events %q, want %q", *events, want)
	}
	*events = nil
}

func wantDelivery(t *testing.T, c *Cache, scope string, streams, current, rejecting int) {
	t.Helper()
	if d := c.Delivery(scope); d.Streams != streams || d.Current != current || d.Rejecting != rejecting {
		t.Errorf("got %+v, want %d streams, %d current and %d rejecting", d, streams, current, rejecting)
	}
}

// TestRejectedVersionIsParked has one of several clients reject a version.
func TestRejectedVersionIsParked(t *testing.T) {
	t.Parallel()
	c, events := observed()
	c.Publish("s", set(res(lds, "l", "1"), res(rds, "r", "1")))
	rejecting, late, state := newDelta(t, c, "s"), newDelta(t, c, "s"), newState(t, c, "s")
	for _, d := range []*deltaClient{rejecting, late} {
		d.subscribe(lds)
		d.wantAck("listeners +l=1")
		d.subscribe(rds, "r")
		d.wantAck("routes +r=1")
	}
	state.subscribe(lds, nil)
	state.wantAck("listeners 1")
	wantDelivery(t, c, "s", 3, 3, 0)

	c.Publish("s", set(res(lds, "m", "1")))
	lateListener := late.want("listeners +m=1")
	rejecting.wantAck("listeners +m=1")
	stateListener := state.want("listeners 1 1")
	wantDelivery(t, c, "s", 3, 1, 0)
	c.Publish("s", set(res(lds, "l", "2")))
	rejecting.reject(rejecting.want("listeners +l=2"), "no")
	wantEvents(t, events, "s: <nil> rejected listeners l, good is 1")
	wantDelivery(t, c, "s", 3, 0, 1)
	rejecting.wantAck("listeners +l=1") // it may have taken half of it
	rejecting.wantNothing()
	wantDelivery(t, c, "s", 3, 0, 1)

	late.ack(lateListener) // it is behind, and is spared
	late.wantNothing()
	state.ack(stateListener)
	state.wantNothing()
	wantDelivery(t, c, "s", 3, 0, 1)
	for range 2 {
		newcomer := newDelta(t, c, "s")
		newcomer.subscribe(lds)
		newcomer.wantAck("listeners +l=1 +m=1")
		newcomer.subscribe(lds, "l")
		newcomer.wantAck("listeners +l=1")
		newcomer.close()
	}
	newcomer := newState(t, c, "s")
	newcomer.subscribe(lds, nil)
	newcomer.wantAck("listeners 1 1")
	newcomer.close()
	wantDelivery(t, c, "s", 3, 0, 1)
	if got := rejecting.stream.Rejected(); len(got) != 1 || got[0].Name != (Name{lds, "l"}) || got[0].Version != res(lds, "l", "2").Version() || got[0].Message != "no" {
		t.Errorf("got rejected %v", got)
	}

	c.Publish("s", set(res(lds, "l", "3")))
	wantEvents(t, events, "s: listeners l lifted")
	rejecting.wantAck("listeners +l=3")
	late.wantAck("listeners +l=3")
	state.wantAck("listeners 3 1")
	wantDelivery(t, c, "s", 3, 3, 0)
}

// TestRejectionOfWhatOthersAccepted has a client reject what all others have: they keep it, and new ones get it.
func TestRejectionOfWhatOthersAccepted(t *testing.T) {
	t.Parallel()
	c, events := observed()
	c.Publish("s", set(res(lds, "l", "1")))
	d := newDelta(t, c, "s")
	d.subscribe(lds)
	d.wantAck("listeners +l=1")
	c.Publish("s", set(res(lds, "l", "2")))
	d.wantAck("listeners +l=2")

	odd, oddState := newDelta(t, c, "s"), newState(t, c, "s")
	odd.subscribe(lds)
	odd.reject(odd.want("listeners +l=2"), "no")
	odd.wantNothing()
	oddState.subscribe(lds, nil)
	oddState.nack(oddState.want("listeners 2"))
	oddState.wantNothing()
	wantEvents(t, events, "s: <nil> rejected listeners l, good is 2", "s: <nil> rejected listeners l, good is 2")
	wantDelivery(t, c, "s", 3, 1, 2)
	odd.subscribe(lds, "l") // asks for it
	odd.wantAck("listeners -l")
	d.wantNothing()
	newcomer := newDelta(t, c, "s")
	newcomer.subscribe(lds)
	newcomer.wantAck("listeners +l=2")
	wantDelivery(t, c, "s", 4, 2, 2)
}

// TestFirstVersionIsRejected has no version that is good, until another client accepts it.
func TestFirstVersionIsRejected(t *testing.T) {
	t.Parallel()
	c, events := observed()
	c.Publish("s", set(res(lds, "l", "1")))
	a, b := newDelta(t, c, "s"), newDelta(t, c, "s")
	a.subscribe(lds)
	b.subscribe(lds)
	a.reject(a.want("listeners +l=1"), "no")
	a.wantNothing()
	newcomer := newDelta(t, c, "s")
	newcomer.subscribe(lds)
	newcomer.wantAck("listeners")
	named := newDelta(t, c, "s")
	named.subscribe(lds, "l")
	named.wantAck("listeners -l") // or it would wait for it
	wantDelivery(t, c, "s", 4, 0, 1)
	wantEvents(t, events, "s: <nil> rejected listeners l, good is nothing")

	b.wantAck("listeners +l=1")
	newcomer.wantAck("listeners +l=1")
	named.wantAck("listeners +l=1")
	a.wantNothing()
	wantEvents(t, events, "s: <nil> rejected listeners l, good is 1")
	wantDelivery(t, c, "s", 4, 3, 1)
}

// TestGoodIsRejected has a client reject what it is served instead, too.
func TestGoodIsRejected(t *testing.T) {
	t.Parallel()
	c, events := observed()
	c.Park("s", Name{lds, "l"}, res(lds, "l", "2").Version(), res(lds, "l", "1"))
	c.Publish("s", set(res(lds, "l", "2")))
	d := newDelta(t, c, "s")
	d.subscribe(lds)
	d.reject(d.want("listeners +l=1"), "neither")
	d.wantNothing()
	c.Publish("s", set(res(lds, "m", "1")))
	d.wantAck("listeners +m=1")
	wantEvents(t, events)
	wantDelivery(t, c, "s", 1, 0, 1)
	if got := d.stream.Rejected(); len(got) != 1 || got[0].Version != res(lds, "l", "1").Version() {
		t.Errorf("got rejected %v", got)
	}
}

// TestPark is what a replica does with what another one was told, and with what it was told before a restart.
func TestPark(t *testing.T) {
	t.Parallel()
	c, events := observed()
	name, bad, good := Name{lds, "l"}, res(lds, "l", "2"), res(lds, "l", "1")
	for range 2 {
		c.Park("s", name, bad.Version(), good)
	}
	d, s := newDelta(t, c, "s"), newState(t, c, "s")
	d.subscribe(lds)
	s.subscribe(lds, nil)
	d.wantNothing()
	c.Publish("s", set(bad))
	d.wantAck("listeners +l=1")
	s.wantAck("listeners 1")
	wantDelivery(t, c, "s", 2, 0, 0)

	// It is lifted once, and not remembered then.
	c.Publish("s", set(res(lds, "l", "3")))
	wantEvents(t, events, "s: listeners l lifted")
	d.wantAck("listeners +l=3")
	s.wantAck("listeners 3")
	wantDelivery(t, c, "s", 2, 2, 0)
	c.Publish("s", set(bad))
	d.wantAck("listeners +l=2")
	s.wantAck("listeners 2")

	// While it is published.
	c.Publish("s", set(res(lds, "l", "4")))
	unread := d.want("listeners +l=4")
	c.Park("s", name, res(lds, "l", "4").Version(), nil)
	d.ack(unread) // it has it, and keeps it
	s.wantAck("listeners 4")
	newcomer := newDelta(t, c, "s")
	newcomer.subscribe(lds)
	newcomer.wantAck("listeners +l=2")
	wantDelivery(t, c, "s", 3, 2, 0)
	c.Unpark("s", name, res(lds, "l", "4").Version())
	newcomer.wantAck("listeners +l=4")
	wantDelivery(t, c, "s", 3, 3, 0)
	d.wantNothing()
	s.wantNothing()

	// Never published.
	c.Park("other", name, "v", nil)
	c.Unpark("other", name, "v")
	c.Unpark("other", name, "v")
	if len(c.scopes) != 1 {
		t.Errorf("%d scopes are left, want 1", len(c.scopes))
	}
}

// TestParkedAgain unparks a version and parks it again while clients that haven't got it can't be answered, or are sent what is dropped.
func TestParkedAgain(t *testing.T) {
	t.Parallel()
	name, bad := Name{lds, "l"}, res(lds, "l", "2")
	for _, when := range []string{"before they connect", "later"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			c, _ := observed()
			c.Park("s", name, bad.Version(), res(lds, "l", "1"))
			if when == "later" {
				c.Publish("s", set(res(lds, "l", "1")))
			} else {
				c.Publish("s", set(bad))
			}
			d, s := newDelta(t, c, "s"), newState(t, c, "s")
			d.subscribe(lds)
			d.wantAck("listeners +l=1")
			s.subscribe(lds, nil)
			s.wantAck("listeners 1")
			c.Publish("s", set(bad, res(lds, "m", "1")))
			delta, state := d.want("listeners +m=1"), s.want("listeners 1 1")
			wantDelivery(t, c, "s", 2, 0, 0)

			c.Unpark("s", name, bad.Version())
			c.Park("s", name, bad.Version(), nil)
			d.ack(delta)
			d.wantAck("listeners +l=1")
			s.ack(state)
			state = s.wantAck("listeners 1 1")
			wantDelivery(t, c, "s", 2, 0, 0)

			c.Unpark("s", name, bad.Version())
			c.Park("s", name, bad.Version(), nil)
			s.subscribe(lds, state) // before it was sent
			s.wantAck("listeners 1 1")
			s.wantNothing()
			d.wantAck("listeners +l=2")
			d.wantNothing()
			wantDelivery(t, c, "s", 2, 1, 0)
		})
	}
}

// TestParkedVersionThatAClientHas has clients that reconnect and say what they have.
func TestParkedVersionThatAClientHas(t *testing.T) {
	t.Parallel()
	c := New()
	bad, good, older := res(lds, "l", "2"), res(lds, "l", "1"), res(lds, "l", "0")
	c.Park("s", Name{lds, "l"}, bad.Version(), good)
	c.Publish("s", set(bad))
	for had, want := range map[*Resource]string{bad: "listeners", good: "listeners", older: "listeners +l=1"} {
		for _, names := range [][]string{nil, {"l"}} {
			d := newDelta(t, c, "s")
			d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: lds, ResourceNamesSubscribe: names,
				InitialResourceVersions: map[string]string{"l": had.Version()}})
			if names == nil || had == older {
				d.wantAck(want)
			}
			d.wantNothing()
			if got, want := d.stream.Current(), had == bad; got != want {
				t.Errorf("a client with %s is current: %t, want %t", text(lds, had.Any().GetValue()), got, want)
			}
			// It isn't taken away by what is changed besides.
			c.Publish("s", set(res(lds, "m", fmt.Sprint(want, names))))
			if names == nil {
				d.ack(d.next())
			}
			d.wantNothing()
			d.close()
			c.Publish("s", del(lds, "m"))
		}
	}
}

// TestRejectionAmongOthers has a response rejected because of one of its resources.
func TestRejectionAmongOthers(t *testing.T) {
	t.Parallel()
	c, _ := observed()
	c.Publish("s", set(res(rds, "a", "1"), res(rds, "b", "1"), res(rds, "c", "1")))
	d, s := newDelta(t, c, "s"), newState(t, c, "s")
	d.subscribe(rds, "a", "b", "c")
	s.subscribe(rds, nil, "a", "b", "c")
	d.wantAck("routes +a=1 +b=1 +c=1")
	s.wantAck("routes 1 1 1")
	c.Publish("s", set(res(rds, "a", "2"), res(rds, "b", "2")))
	state := s.want("routes 2 2")
	d.reject(d.want("routes +a=2 +b=2"), "a is bad")
	d.wantAck("routes +a=1 +b=2") // of b it is not known whether the client took it
	d.wantNothing()
	wantDelivery(t, c, "s", 2, 0, 1)
	s.reject(state, "a is bad")
	s.wantAck("routes 1 2")
	s.wantNothing()
	wantDelivery(t, c, "s", 2, 0, 2)
}

// TestParkedClusterHoldsNothingUp has a route whose cluster is rejected and has no version that is good.
func TestParkedClusterHoldsNothingUp(t *testing.T) {
	t.Parallel()
	c, _ := observed()
	c.Publish("s", set(edsCluster("c1", 1), res(rds, "r", "c1")))
	d, s := newDelta(t, c, "s"), newState(t, c, "s")
	d.subscribe(cds)
	d.wantAck("clusters +c1=1")
	d.subscribe(rds, "r")
	d.wantAck("routes +r=c1")
	s.subscribe(cds, nil)
	s.wantAck("clusters 1")
	s.subscribe(rds, nil, "r")
	s.wantAck("routes c1")
	c.Publish("s", set(edsCluster("c2", 2), res(rds, "r", "c2")))
	d.reject(d.want("clusters +c2=2"), "no")
	d.wantAck("routes +r=c2")
	s.nack(s.want("clusters 1 2"))
	s.wantAck("routes c2")
	for range 2 {
		d.wantNothing()
		s.wantNothing()
	}
}

// TestGoodKeepsWhatItUses has a route that is rejected, and served in an earlier version, the cluster of which is removed.
func TestGoodKeepsWhatItUses(t *testing.T) {
	t.Parallel()
	c, _ := observed()
	c.Publish("s", set(edsCluster("c1", 1), res(eds, "c1", "e"), res(rds, "r", "c1")))
	connect := func() *deltaClient {
		d := newDelta(t, c, "s")
		d.subscribe(cds)
		d.wantAck("clusters +c1=1")
		d.subscribe(eds, "c1")
		d.wantAck("endpoints +c1=e")
		d.subscribe(rds, "r")
		d.wantAck("routes +r=c1")
		return d
	}
	d := connect()
	state := newState(t, c, "s")
	state.subscribe(cds, nil)
	state.wantAck("clusters 1")
	state.subscribe(rds, nil, "r")
	state.wantAck("routes c1")

	c.Publish("s", Update{Set: []*Resource{res(rds, "r", "bad")}, Delete: []Name{{cds, "c1"}, {eds, "c1"}}})
	d.reject(d.want("routes +r=bad"), "no")
	d.wantAck("routes +r=c1")
	d.wantNothing()
	state.nack(state.want("routes bad"))
	state.wantAck("routes c1")
	state.wantNothing()
	newcomer := connect()
	newcomer.wantNothing()
	stateNewcomer := newState(t, c, "s")
	stateNewcomer.subscribe(cds, nil)
	stateNewcomer.wantAck("clusters 1")
	for i := range 200 { // and the log is trimmed
		c.Publish("s", set(res(sds, "x", fmt.Sprint(i)), res(cds, "x", "")))
		c.Publish("s", del(cds, "x"))
		for _, d := range []*deltaClient{d, newcomer} {
			for resp := d.next(); resp != nil; resp = d.next() {
				d.ack(resp)
			}
		}
		for _, s := range []*stateClient{state, stateNewcomer} {
			for resp := s.next(); resp != nil; resp = s.next() {
				s.ack(resp)
			}
		}
	}

	c.Publish("s", set(res(rds, "r", "fixed")))
	for _, d := range []*deltaClient{d, newcomer} {
		d.wantAck("routes +r=fixed")
		d.wantAck("clusters -c1 -x")
		d.wantAck("endpoints -c1")
	}
	state.wantAck("routes fixed")
	state.wantAck("clusters")
	stateNewcomer.wantAck("clusters")
	wantDelivery(t, c, "s", 4, 4, 0)
}

// TestLayeredParking has a client of a scope reject what is in the one that it lies over.
func TestLayeredParking(t *testing.T) {
	t.Parallel()
	c, events := observed("base")
	c.Publish("base", set(res(lds, "l", "1"), res(lds, "m", "1")))
	c.Publish("base/a", set(res(lds, "m", "a")))
	a, b := newDelta(t, c, "base/a"), newDelta(t, c, "base/b")
	a.subscribe(lds)
	a.wantAck("listeners +l=1 +m=a")
	b.subscribe(lds)
	b.wantAck("listeners +l=1 +m=1")
	c.Publish("base", set(res(lds, "l", "2")))
	a.reject(a.want("listeners +l=2"), "no")
	wantEvents(t, events, "base: <nil> rejected listeners l, good is 1")
	a.wantAck("listeners +l=1")
	b.wantAck("listeners +l=2") // it has been sent it
	other := newDelta(t, c, "base/c")
	other.subscribe(lds)
	other.wantAck("listeners +l=1 +m=1")
	wantDelivery(t, c, "base/a", 1, 0, 1)
	wantDelivery(t, c, "base/b", 1, 1, 0)
	wantDelivery(t, c, "base/c", 1, 0, 0)

	// What is over it may be rejected as well, and shows nothing of what is under it.
	c.Publish("base/c", set(res(lds, "m", "bad")))
	other.reject(other.want("listeners +m=bad"), "no")
	other.wantNothing()
	wantEvents(t, events, "base/c: <nil> rejected listeners m, good is nothing")
	c.Withdraw("base/c")
	wantEvents(t, events, "base/c: listeners m lifted")
	other.wantAck("listeners +m=1")
	c.Publish("base", set(res(lds, "l", "3")))
	for _, d := range []*deltaClient{a, b, other} {
		d.wantAck("listeners +l=3")
	}
	for _, scope := range []string{"base/a", "base/b", "base/c"} {
		wantDelivery(t, c, scope, 1, 1, 0)
	}
}

// TestDeliveryVersion holds that the version is that of the content.
func TestDeliveryVersion(t *testing.T) {
	t.Parallel()
	a, b := New("base"), New("base")
	a.Publish("base", set(res(lds, "l", "1"), res(rds, "r", "1")))
	a.Publish("base/a", set(res(lds, "m", "1")))
	b.Publish("base/a", set(res(lds, "m", "0"), res(lds, "l", "2")))
	b.Publish("base", set(res(rds, "r", "1"), res(lds, "l", "1")))
	if a.Delivery("base/a").Version == b.Delivery("base/a").Version {
		t.Error("different contents have equal versions")
	}
	b.Publish("base/a", Update{Set: []*Resource{res(lds, "m", "1")}, Delete: []Name{{lds, "l"}}})
	for _, scope := range []string{"base", "base/a"} {
		if a, b := a.Delivery(scope).Version, b.Delivery(scope).Version; a != b {
			t.Errorf("%s: versions are %s and %s", scope, a, b)
		}
	}
}

// TestHooksMayCallTheCache holds that no lock is held while they run.
func TestHooksMayCallTheCache(t *testing.T) {
	t.Parallel()
	c := New()
	var versions []string
	c.OnDelivery(func(scope string) { versions = append(versions, c.Delivery(scope).Version) })
	c.OnReject(func(r Rejection) {
		c.Park(r.Scope, r.Name, r.Version, nil)
		c.Publish(r.Scope, set(res(lds, "l", "2")))
	})
	c.Publish("s", set(res(lds, "l", "1")))
	d := newDelta(t, c, "s")
	d.subscribe(lds)
	d.reject(d.want("listeners +l=1"), "no")
	d.wantAck("listeners +l=2")
	if last := versions[len(versions)-1]; last != c.Delivery("s").Version || versions[0] == last {
		t.Errorf("told of versions %q", versions)
	}
}

// TestAcknowledged follows what a stream has said it has.
func TestAcknowledged(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", set(res(lds, "l", "1")))
	d := newDelta(t, c, "s")
	d.subscribe(lds)
	first := d.want("listeners +l=1")
	if got := d.stream.Acknowledged(); len(got) != 0 {
		t.Errorf("got %v, want nothing", got)
	}
	d.ack(first)
	c.Publish("s", set(res(lds, "l", "2")))
	d.want("listeners +l=2")
	if got := d.stream.Acknowledged()[lds]; got != first.GetSystemVersionInfo() {
		t.Errorf("got %s, want %s", got, first.GetSystemVersionInfo())
	}
}
