package robustness

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// resource makes one as it is received.
func resource(t *testing.T, m proto.Message) Resource {
	t.Helper()
	encoded, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	r, err := newResource("", encoded)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// leadsTo is a route configuration for a domain, with routes to clusters.
func leadsTo(t *testing.T, domain string, clusters ...string) Resource {
	weighted := &routev3.WeightedCluster{}
	for _, name := range clusters {
		weighted.Clusters = append(weighted.Clusters, &routev3.WeightedCluster_ClusterWeight{Name: name})
	}
	return resource(t, &routev3.RouteConfiguration{Name: "routes", VirtualHosts: []*routev3.VirtualHost{{
		Name: "host", Domains: []string{domain},
		Routes: []*routev3.Route{{Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_WeightedClusters{WeightedClusters: weighted},
		}}}},
	}}})
}

// TestNode shows that a node notices a route before its cluster, and a cluster that is removed too early, be it that of a route
// that it keeps because it has rejected another one.
func TestNode(t *testing.T) {
	t.Parallel()
	clusters := func(names ...string) map[string]Resource {
		all := map[string]Resource{}
		for _, name := range names {
			all[name] = resource(t, &clusterv3.Cluster{Name: name})
		}
		return all
	}
	routes := func(r Resource) map[string]Resource { return map[string]Resource{"routes": r} }
	type response struct {
		typeURL string
		set     map[string]Resource
		removed []string
		all     bool
	}
	for _, test := range []struct {
		name      string
		node      *Node
		responses []response
		wrong     string
	}{
		{"make before break", &Node{Delta: true}, []response{
			{cds, clusters("a"), nil, false}, {rds, routes(leadsTo(t, "*", "a")), nil, false},
			{cds, clusters("b"), nil, false}, {rds, routes(leadsTo(t, "*", "b")), nil, false}, {cds, nil, []string{"a"}, false},
		}, ""},
		{"a route before its cluster", &Node{Delta: true}, []response{
			{cds, clusters("a"), nil, false}, {rds, routes(leadsTo(t, "*", "a", "b")), nil, false}, {cds, clusters("b"), nil, false},
		}, `cluster "b"`},
		{"a cluster that is removed before its route", &Node{Delta: true}, []response{
			{cds, clusters("a"), nil, false}, {rds, routes(leadsTo(t, "*", "a")), nil, false}, {cds, nil, []string{"a"}, false},
		}, `cluster "a"`},
		{"a cluster that isn't in the state of the world any more", &Node{}, []response{
			{cds, clusters("a"), nil, true}, {rds, routes(leadsTo(t, "*", "a")), nil, false}, {cds, clusters("b"), nil, true},
		}, `cluster "a"`},
		{"a proxyless client, which asks for the cluster because of the route", &Node{ByName: true, Delta: true}, []response{
			{rds, routes(leadsTo(t, "*", "a")), nil, false},
		}, ""},
		{"a cluster that is removed when nothing is kept any more that leads to it", &Node{Rejects: true, Delta: true}, []response{
			{cds, clusters("a"), nil, false}, {rds, routes(leadsTo(t, "*", "a")), nil, false},
			{rds, routes(leadsTo(t, poison, "b")), nil, false}, {cds, clusters("c"), nil, false},
			{rds, routes(leadsTo(t, "*", "c")), nil, false}, {cds, nil, []string{"a"}, false},
		}, ""},
		{"a cluster that is removed after a rejection, with what is kept", &Node{Rejects: true, Delta: true}, []response{
			{cds, clusters("a"), nil, false}, {rds, routes(leadsTo(t, "*", "a")), nil, false}, {cds, clusters("b"), nil, false},
			{rds, routes(leadsTo(t, poison, "b")), nil, false}, {cds, nil, []string{"a"}, false},
		}, `cluster "a"`},
		{"such a one that isn't in the state of the world any more", &Node{Rejects: true}, []response{
			{cds, clusters("a"), nil, true}, {rds, routes(leadsTo(t, "*", "a")), nil, false}, {cds, clusters("a", "b"), nil, true},
			{rds, routes(leadsTo(t, poison, "b")), nil, false}, {cds, clusters("b"), nil, true},
		}, `cluster "a"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := test.node
			n.clock, n.listeners = clock{time.Now()}, &Names{}
			n.forget()
			n.asked = map[string]bool{"l": true}
			n.has[lds]["l"] = Resource{refers: map[string]map[string]bool{rds: {"routes": true}}}
			for _, r := range test.responses {
				rejects := n.Rejects && r.set["routes"].poisoned()
				if err := n.apply(t.Context(), r.typeURL, r.set, r.removed, r.all); (err != nil) != rejects {
					t.Errorf("the answer to %s is %v", short(r.typeURL), err)
				}
			}
			expect(t, n.check(), test.wrong)
		})
	}
}

// TestNodeRejects shows that a node keeps what it has when it rejects something, and says which resource it is.
func TestNodeRejects(t *testing.T) {
	t.Parallel()
	for _, delta := range []bool{true, false} {
		n := &Node{Delta: delta, Rejects: true, clock: clock{time.Now()}, listeners: &Names{}}
		n.forget()
		n.has[lds]["l"] = Resource{refers: map[string]map[string]bool{rds: {"routes": true}}}
		good := leadsTo(t, "good.test", "a")
		n.has[rds]["routes"] = good
		err := n.apply(t.Context(), rds, map[string]Resource{"routes": leadsTo(t, poison, "a")}, nil, false)
		if err == nil || !strings.Contains(err.Error(), "routes") || !proto.Equal(n.has[rds]["routes"].Message, good.Message) {
			t.Errorf("delta=%v: the node answers %v to poison, and has %v", delta, err, n.has[rds])
		}
	}
}

// TestDiffers shows that a node that doesn't have what it should is found.
func TestDiffers(t *testing.T) {
	t.Parallel()
	want := newConfiguration()
	want[cds]["a"] = resource(t, &clusterv3.Cluster{Name: "a"})
	for _, test := range []struct {
		wrong  string
		change func(Configuration)
	}{
		{"", func(Configuration) {}},
		{"is missing", func(c Configuration) { delete(c[cds], "a") }},
		{"should be", func(c Configuration) { c[cds]["a"] = resource(t, &clusterv3.Cluster{Name: "a", AltStatName: "b"}) }},
		{"should not be there", func(c Configuration) { c[cds]["b"] = resource(t, &clusterv3.Cluster{Name: "b"}) }},
	} {
		has := newConfiguration()
		has[cds]["a"] = want[cds]["a"]
		test.change(has)
		var errs []error
		for _, difference := range has.differs(want) {
			errs = append(errs, errors.New(difference))
		}
		t.Run(fmt.Sprintf("%q", test.wrong), func(t *testing.T) { expect(t, errs, test.wrong) })
	}
}
