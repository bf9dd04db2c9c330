package cache

import (
	"fmt"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// TestGoodOfAnotherReplica has another replica say what is good instead of something that this one knows an older version of.
func TestGoodOfAnotherReplica(t *testing.T) {
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

	bad := res(rds, "r", "c2")
	c.Publish("s", Update{Set: []*Resource{edsCluster("c2", 2), bad}, Delete: []Name{{cds, "c1"}}})
	clusters, state := d.want("clusters +c2=2"), s.want("clusters 2 1")
	c.Park("s", Name{rds, "r"}, bad.Version(), res(rds, "r", "c9"))
	d.ack(clusters)
	s.ack(state)
	for range 2 { // they keep what they have
		d.wantNothing()
		s.wantNothing()
	}
	newcomer := newState(t, c, "s")
	newcomer.subscribe(cds, nil)
	newcomer.wantAck("clusters 2 1")
	newcomer.subscribe(rds, nil, "r")
	newcomer.wantAck("routes c1")
}

// TestGoodThatWasNeverPublished parks something, before or after it is published, with a good version that uses a cluster which isn't
// there any more, or never was: whoever is served it has the cluster first, and loses it last.
func TestGoodThatWasNeverPublished(t *testing.T) {
	t.Parallel()
	bad, good := res(rds, "r", "c2"), res(rds, "r", "c1")
	publish := set(edsCluster("c2", 2), res(eds, "c2", "e2"), bad)
	park := func(c *Cache, scope string) {
		c.Park(scope, Name{rds, "r"}, bad.Version(), good, edsCluster("c1", 1), res(eds, "c1", "e1"))
	}
	for name, prepare := range map[string]func(*Cache){
		"parked first": func(c *Cache) {
			park(c, "s")
			c.Publish("s", publish)
		},
		"published first": func(c *Cache) {
			c.Publish("s", publish)
			park(c, "s")
		},
		"long gone": func(c *Cache) {
			c.Publish("s", set(edsCluster("c1", 7)))
			c.Publish("s", del(cds, "c1"))
			c.Publish("s", publish)
			park(c, "s")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := observed("s")
			prepare(c)
			d, s := newDelta(t, c, "s/over"), newState(t, c, "s")
			d.subscribe(cds)
			d.wantAck("clusters +c1=1 +c2=2")
			d.subscribe(eds, "c1")
			d.wantAck("endpoints +c1=e1")
			d.subscribe(rds, "r")
			d.wantAck("routes +r=c1")
			s.subscribe(cds, nil)
			s.wantAck("clusters 2 1")
			s.subscribe(rds, nil, "r")
			s.wantAck("routes c1")
			d.wantNothing()
			s.wantNothing()
			if got := resources(c, "s"); got != "clusters c2=2, endpoints c2=e2, routes r=c2" {
				t.Errorf("published is %s", got)
			}

			// What comes next inherits the good version, and what that uses, if nobody takes it.
			c.Publish("s", set(res(rds, "r", "bad")))
			d.reject(d.want("routes +r=bad"), "no")
			d.wantAck("routes +r=c1")
			s.reject(s.want("routes bad"), "no")
			s.wantAck("routes c1")
			c.Publish("s", set(res(rds, "r", "c2 #2")))
			d.wantAck("routes +r=c2 #2")
			d.wantAck("clusters -c1")
			d.wantAck("endpoints -c1")
			s.wantAck("routes c2 #2")
			s.wantAck("clusters 2")
			wantDelivery(t, c, "s", 1, 1, 0)
		})
	}
}

// TestNeeds asks what a route table and a listener use.
func TestNeeds(t *testing.T) {
	t.Parallel()
	encode := func(typeURL, name string, m proto.Message) *Resource {
		value, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return NewResource(typeURL, name, value)
	}
	pack := func(m proto.Message) *anypb.Any {
		a, err := anypb.New(m)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	to := func(action *routev3.RouteAction) *routev3.Route {
		return &routev3.Route{Action: &routev3.Route_Route{Route: action}}
	}
	table := encode(rds, "r", &routev3.RouteConfiguration{VirtualHosts: []*routev3.VirtualHost{{Routes: []*routev3.Route{
		to(&routev3.RouteAction{
			ClusterSpecifier:      &routev3.RouteAction_Cluster{Cluster: "live"},
			RequestMirrorPolicies: []*routev3.RouteAction_RequestMirrorPolicy{{Cluster: "removed"}},
		}),
		to(&routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_WeightedClusters{WeightedClusters: &routev3.WeightedCluster{
			Clusters: []*routev3.WeightedCluster_ClusterWeight{{Name: "live"}, {Name: "missing"}, {Name: "parked"}},
		}}}),
	}}}})
	listener := encode(lds, "l", &listenerv3.Listener{FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(&tcpproxyv3.TcpProxy{
			ClusterSpecifier: &tcpproxyv3.TcpProxy_Cluster{Cluster: "live"},
		})},
	}}}}})
	c := New()
	c.Publish("s", set(edsCluster("live", 1), res(eds, "live", "e"), edsCluster("removed", 2), edsCluster("parked", 3), edsCluster("other", 4)))
	c.Publish("s", del(cds, "removed"))
	c.Park("s", Name{cds, "parked"}, edsCluster("parked", 3).Version(), edsCluster("parked", 5))
	for r, want := range map[*Resource]string{
		table:                        "clusters live=1, endpoints live=e, clusters parked=5, clusters removed=2",
		listener:                     "clusters live=1, endpoints live=e",
		res(rds, "r", "\xffgarbage"): "",
		edsCluster("live", 1):        "",
	} {
		var got []string
		for _, need := range c.Needs("s", r) {
			got = append(got, fmt.Sprintf("%s %s=%s", shortTypes[need.TypeURL()], need.Name(), text(need.TypeURL(), need.Any().GetValue())))
		}
		if got := strings.Join(got, ", "); got != want {
			t.Errorf("%s uses %q, want %q", r.Name(), got, want)
		}
	}
}
