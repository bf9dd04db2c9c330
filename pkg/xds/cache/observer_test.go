package cache

import (
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// look has somebody who only looks acknowledge what a scope serves of a type, and say so once more in a stream of its own.
func look(t *testing.T, c *Cache, scope, typeURL, want string) {
	t.Helper()
	has := map[string]string{}
	for _, r := range c.Resources(scope) {
		if r.TypeURL() == typeURL {
			has[r.Name()] = r.Version()
		}
	}
	first, again := &deltaClient{t: t, stream: c.Observer(scope, nil)}, &deltaClient{t: t, stream: c.Observer(scope, nil)}
	defer first.close()
	defer again.close()
	first.subscribe(typeURL, "*")
	first.wantAck(want)
	again.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: []string{"*"}, InitialResourceVersions: has})
	again.wantAck(shortTypes[typeURL])
}

// TestObserverBeforeTheNodes: what somebody has looked at, and all nodes reject, isn't good, nor is it after the next version.
func TestObserverBeforeTheNodes(t *testing.T) {
	t.Parallel()
	c, events := observed()
	c.Publish("s", set(res(lds, "l", "1")))
	look(t, c, "s", lds, "listeners +l=1")
	d := newDelta(t, c, "s")
	d.subscribe(lds)
	d.reject(d.want("listeners +l=1"), "no")
	wantEvents(t, events, "s: <nil> rejected listeners l, good is nothing")
	newcomer := newDelta(t, c, "s")
	newcomer.subscribe(lds)
	newcomer.wantAck("listeners")
	newcomer.close()

	c.Publish("s", set(res(lds, "l", "2")))
	d.reject(d.want("listeners +l=2"), "no")
	wantEvents(t, events, "s: listeners l lifted", "s: <nil> rejected listeners l, good is nothing")
}

// TestObserverWithoutNodes has somebody look at a bad version while no node is connected: they are served the one before it.
func TestObserverWithoutNodes(t *testing.T) {
	t.Parallel()
	c, events := observed()
	c.Publish("s", set(res(lds, "l", "1")))
	d := newDelta(t, c, "s")
	d.subscribe(lds)
	d.wantAck("listeners +l=1")
	d.close()
	c.Publish("s", set(res(lds, "l", "2")))
	look(t, c, "s", lds, "listeners +l=2")
	d = newDelta(t, c, "s")
	d.subscribe(lds)
	d.reject(d.want("listeners +l=2"), "no")
	wantEvents(t, events, "s: <nil> rejected listeners l, good is 1")
	d.wantAck("listeners +l=1")
}

// TestObserverBesideANode has a node acknowledge the same response as somebody who looked before: its word counts.
func TestObserverBesideANode(t *testing.T) {
	t.Parallel()
	c, events := observed()
	c.Publish("s", set(res(lds, "l", "1")))
	look(t, c, "s", lds, "listeners +l=1")
	d, other := newDelta(t, c, "s"), newDelta(t, c, "s")
	d.subscribe(lds)
	d.wantAck("listeners +l=1")
	other.subscribe(lds)
	other.reject(other.want("listeners +l=1"), "no")
	wantEvents(t, events, "s: <nil> rejected listeners l, good is 1")
}

// TestObserverRejects: what somebody who looks can't read isn't rejected for the nodes, nor sent to that client again.
func TestObserverRejects(t *testing.T) {
	t.Parallel()
	c, events := observed()
	c.Publish("s", set(res(lds, "l", "1")))
	o, d := &deltaClient{t: t, stream: c.Observer("s", nil)}, newDelta(t, c, "s")
	defer o.close()
	o.subscribe(lds)
	o.reject(o.want("listeners +l=1"), "no")
	o.wantNothing()
	d.subscribe(lds)
	d.wantAck("listeners +l=1")
	c.Publish("s", set(res(lds, "l", "2")))
	o.wantAck("listeners +l=2")
	d.wantAck("listeners +l=2")
	wantEvents(t, events)
}
