package cache

import (
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// has subscribes to some names of a type, or to all, as a client that connects again and has something already.
func (d *deltaClient) has(typeURL, name string, resources ...*Resource) {
	d.t.Helper()
	versions := map[string]string{}
	for _, r := range resources {
		versions[r.Name()] = r.Version()
	}
	d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: []string{name}, InitialResourceVersions: versions})
}

// TestKeptWithoutAGoodVersion: a client that connects again with a table of which only a version that is parked is published, and
// nothing good is known, keeps the table, and so the clusters that it may use.
func TestKeptWithoutAGoodVersion(t *testing.T) {
	t.Parallel()
	c := New()
	a, b, l, v0, v1 := res(cds, "a", "a1"), res(cds, "b", "b1"), res(lds, "l", "r"), res(rds, "r", "a"), res(rds, "r", "b")
	c.Publish("s", set(b, l, v1))
	c.Park("s", Name{rds, "r"}, v1.Version(), nil)
	d := newDelta(t, c, "s")
	d.has(cds, "*", a, b)
	d.wantAck("clusters")
	d.has(lds, "*", l)
	d.wantAck("listeners")
	d.has(rds, "r", v0)
	d.wantNothing()
	c.Publish("s", set(res(cds, "b", "b2")))
	d.wantAck("clusters +b=b2")
	d.wantNothing()

	c.Publish("s", set(res(rds, "r", "b?")))
	d.wantAck("routes +r=b?")
	d.wantAck("clusters -a")
	d.wantNothing()
}

// TestUnparked: when what a client was served something older in place of is parked no more, what the older one uses goes after the
// client has the newer one.
func TestUnparked(t *testing.T) {
	t.Parallel()
	c := New()
	a, v0, v1 := res(cds, "a", "a1"), res(rds, "r", "a"), res(rds, "r", "b")
	c.Publish("s", set(a, v0))
	d := newDelta(t, c, "s")
	d.subscribe(cds, "*")
	d.wantAck("clusters +a=a1")
	d.subscribe(rds, "r")
	d.wantAck("routes +r=a")

	c.Park("s", Name{rds, "r"}, v1.Version(), v0, a)
	c.Publish("s", Update{Set: []*Resource{res(cds, "b", "b1"), v1}, Delete: []Name{{cds, "a"}}})
	d.wantAck("clusters +b=b1")
	d.wantNothing()
	c.Unpark("s", Name{rds, "r"}, v1.Version())
	d.wantAck("routes +r=b")
	d.wantAck("clusters -a")
	d.wantNothing()
}

// TestConnectedBeforeAnything: a client that connects again while its scope is published, but has never had anything, loses its table
// before what that uses.
func TestConnectedBeforeAnything(t *testing.T) {
	t.Parallel()
	c := New()
	c.Publish("s", Update{})
	d := newDelta(t, c, "s")
	d.has(cds, "*", res(cds, "old", "1"))
	d.has(rds, "r", res(rds, "r", "old"))
	d.wantAck("clusters")
	d.wantAck("routes")
	d.wantAck("routes -r")
	d.wantAck("clusters -old")
	d.wantNothing()
}
