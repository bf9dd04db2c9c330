package ads

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/ads/adstest"
)

var me = &corev3.Node{Id: "me"}

func response(typeURL string, resources ...*discoveryv3.Resource) *discoveryv3.DeltaDiscoveryResponse {
	return &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typeURL, Resources: resources}
}

func removal(typeURL string, names ...string) *discoveryv3.DeltaDiscoveryResponse {
	return &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typeURL, RemovedResources: names}
}

func cluster(name, version string) *discoveryv3.Resource {
	return adstest.Resource(name, version, &clusterv3.Cluster{Name: name})
}

func endpoints(name, version string) *discoveryv3.Resource {
	return adstest.Resource(name, version, &endpointv3.ClusterLoadAssignment{ClusterName: name})
}

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	server := adstest.Serve(t)
	client, told := run(t, server.Address, me, nil)
	client.Subscribe(RouteType, nil) // nothing: a first request without a name would be for all
	client.SubscribeAll(ClusterType)
	s := server.Accept(t)
	s.Wants("Cluster by me")
	s.Send(response(ClusterType, cluster("a", "1"), cluster("b", "1")))
	told.wants(t, "Cluster +a@1 +b@1")
	s.Wants("Cluster ack n1")

	client.Subscribe(EndpointType, []string{"a", "b"})
	s.Wants("ClusterLoadAssignment +a +b")
	s.Send(response(EndpointType, endpoints("a", "1")))
	told.wants(t, "ClusterLoadAssignment +a@1")
	s.Wants("ClusterLoadAssignment ack n2")
	client.Subscribe(EndpointType, []string{"a", "c"})
	s.Wants("ClusterLoadAssignment +c -b")
	client.Subscribe(EndpointType, nil)
	s.Wants("ClusterLoadAssignment -a -c")
	client.Subscribe(EndpointType, []string{"a"})
	s.Wants("ClusterLoadAssignment +a")

	s.Send(removal(ClusterType, "b"))
	told.wants(t, "Cluster -b")
	s.Wants("Cluster ack n3")
	s.Send(response(ClusterType)) // nothing is news too
	told.wants(t, "Cluster")
	s.Wants("Cluster ack n4")
}

// A client that is sent what it didn't ask for doesn't hand it on.
func TestUnasked(t *testing.T) {
	t.Parallel()
	server := adstest.Serve(t)
	client, told := run(t, server.Address, me, nil)
	client.Subscribe(EndpointType, []string{"a"})
	s := server.Accept(t)
	s.Wants("ClusterLoadAssignment +a by me")
	unreadable := &discoveryv3.Resource{Name: "x", Resource: &anypb.Any{TypeUrl: EndpointType, Value: []byte{1}}}
	s.Send(response(EndpointType, endpoints("a", "1"), endpoints("b", "1"), unreadable))
	told.wants(t, "ClusterLoadAssignment +a@1")
	s.Wants("ClusterLoadAssignment ack n1")
	s.Send(removal(EndpointType, "b", "a"))
	told.wants(t, "ClusterLoadAssignment -a")
	s.Wants("ClusterLoadAssignment ack n2")
	s.Send(response(ClusterType, cluster("a", "1"))) // a type that nobody subscribed to isn't answered
	s.Send(response(EndpointType, endpoints("a", "2")))
	told.wants(t, "ClusterLoadAssignment +a@2")
	s.Wants("ClusterLoadAssignment ack n4")
}

// After a reconnection, the server is told what of it was accepted: not what was rejected, removed, or isn't asked for.
func TestReconnect(t *testing.T) {
	t.Parallel()
	server := adstest.Serve(t)
	client, told := run(t, server.Address, me, func(u Update) error {
		for _, r := range u.Set {
			if strings.HasPrefix(r.Name, "bad") {
				return fmt.Errorf("%s: is bad", r.Name)
			}
		}
		return nil
	})
	client.SubscribeAll(ClusterType)
	client.Subscribe(EndpointType, []string{"a", "b", "c"})
	s := server.Accept(t)
	s.Wants("Cluster by me")
	s.Wants("ClusterLoadAssignment +a +b +c")
	s.Send(response(ClusterType, cluster("a", "1"), cluster("b", "1"), cluster("c", "1")))
	told.wants(t, "Cluster +a@1 +b@1 +c@1")
	s.Wants("Cluster ack n1")
	s.Send(response(ClusterType, cluster("a", "2"), cluster("bad", "1")))
	told.wants(t, "Cluster +a@2 +bad@1")
	s.Wants("Cluster nack n2: bad: is bad")
	s.Send(removal(ClusterType, "c"))
	told.wants(t, "Cluster -c")
	s.Wants("Cluster ack n3")
	s.Send(response(EndpointType, endpoints("a", "1"), endpoints("b", "1")))
	told.wants(t, "ClusterLoadAssignment +a@1 +b@1")
	s.Wants("ClusterLoadAssignment ack n4")
	client.Subscribe(EndpointType, []string{"a", "c"})
	s.Wants("ClusterLoadAssignment -b")
	s.End()

	s = server.Accept(t)
	s.Wants("Cluster a@1 b@1 by me")
	s.Wants("ClusterLoadAssignment +a +c a@1")
	s.Send(response(ClusterType, cluster("a", "3")))
	told.wants(t, "Cluster +a@3")
	s.Wants("Cluster ack n1") // nonces are the stream's
}

func TestHold(t *testing.T) {
	t.Parallel()
	server := adstest.Serve(t)
	client, told := run(t, server.Address, me, nil)
	client.SubscribeAll(ClusterType)
	s := server.Accept(t)
	s.Wants("Cluster by me")
	client.Hold(ClusterType)
	s.Send(response(ClusterType, cluster("a", "1")))
	told.wants(t, "Cluster +a@1")
	s.Send(response(ClusterType, cluster("a", "2")))
	told.wants(t, "Cluster +a@2")
	client.Subscribe(EndpointType, []string{"a"})
	s.Wants("ClusterLoadAssignment +a") // other types aren't held
	client.Release(ClusterType)
	s.Wants("Cluster ack n1")
	s.Wants("Cluster ack n2")
}

// What spoils a whole response. Nothing of it is handed on.
func TestMalformed(t *testing.T) {
	t.Parallel()
	with := func(change func(*discoveryv3.Resource)) *discoveryv3.DeltaDiscoveryResponse {
		bad := cluster("bad", "1")
		change(bad)
		return response(ClusterType, cluster("good", "1"), bad)
	}
	for name, test := range map[string]struct {
		response *discoveryv3.DeltaDiscoveryResponse
		want     string
	}{
		"twice": {response(ClusterType, cluster("a", "1"), cluster("a", "2")), "duplicate name a found among added/updated resources"},
		"set and removed": {
			&discoveryv3.DeltaDiscoveryResponse{TypeUrl: ClusterType, Resources: []*discoveryv3.Resource{cluster("a", "1")}, RemovedResources: []string{"a"}},
			"duplicate name a found in the union of added+removed resources",
		},
		"another type": {response(ClusterType, endpoints("bad", "1")), "does not match"},
		"not a message": {
			with(func(r *discoveryv3.Resource) { r.Resource.Value = []byte{1} }), "bad: proto",
		},
		"no resource": {with(func(r *discoveryv3.Resource) { r.Resource = nil }), "bad: type URL"},
		"against the rules of its proto file": {
			response(ClusterType, cluster("good", "1"), adstest.Resource("bad", "1", &clusterv3.Cluster{Name: ""})), "bad: proto constraint validation failed",
		},
		"aliases":       {with(func(r *discoveryv3.Resource) { r.Aliases = []string{"b"} }), "bad: aliases isn't supported"},
		"ttl":           {with(func(r *discoveryv3.Resource) { r.Ttl = durationpb.New(1) }), "bad: ttl isn't supported"},
		"metadata":      {with(func(r *discoveryv3.Resource) { r.Metadata = &corev3.Metadata{} }), "bad: metadata isn't supported"},
		"resource_name": {with(func(r *discoveryv3.Resource) { r.ResourceName = &discoveryv3.ResourceName{} }), "bad: resource_name isn't supported"},
		"cache_control": {with(func(r *discoveryv3.Resource) { r.CacheControl = &discoveryv3.Resource_CacheControl{} }), "bad: cache_control isn't supported"},
		"removed_resource_names": {
			&discoveryv3.DeltaDiscoveryResponse{TypeUrl: ClusterType, RemovedResourceNames: []*discoveryv3.ResourceName{{}}}, "removed_resource_names isn't supported",
		},
		"resource_errors": {
			&discoveryv3.DeltaDiscoveryResponse{TypeUrl: ClusterType, ResourceErrors: []*discoveryv3.ResourceError{{}}}, "resource_errors isn't supported",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := adstest.Serve(t)
			client, told := run(t, server.Address, me, nil)
			client.SubscribeAll(ClusterType)
			s := server.Accept(t)
			s.Wants("Cluster by me")
			s.Send(test.response)
			told.wants(t, "Cluster malformed")
			if got := adstest.Format(s.Next()); !strings.HasPrefix(got, "Cluster nack n1: ") || !strings.Contains(got, test.want) {
				t.Errorf("the server was told %q, want a rejection with %q", got, test.want)
			}
			s.Send(response(ClusterType, cluster("a", "2")))
			told.wants(t, "Cluster +a@2")
			s.Wants("Cluster ack n2")
		})
	}
}

func TestLongDetail(t *testing.T) {
	t.Parallel()
	server := adstest.Serve(t)
	client, _ := run(t, server.Address, me, func(Update) error { return errors.New("a\xff" + strings.Repeat("ä", maxDetail)) })
	client.SubscribeAll(ClusterType)
	s := server.Accept(t)
	s.Wants("Cluster by me")
	s.Send(response(ClusterType, cluster("a", "1")))
	detail := s.Next().GetErrorDetail().GetMessage()
	if !strings.HasSuffix(detail, "ä...(truncated)") || len(detail) > maxDetail+len("...(truncated)") {
		t.Errorf("the server was told %d bytes of why: %q", len(detail), detail)
	}
}
