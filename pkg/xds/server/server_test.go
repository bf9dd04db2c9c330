package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpointservice "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	listenerservice "github.com/envoyproxy/go-control-plane/envoy/service/listener/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// scope is that of gatewayNode("ns/gw").
var scope = nodes.GatewayScope("ns/gw")

func TestDelta(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.cache.Publish(scope, set(res(cds, "c", "c1"), res(lds, "l", "l1"), res(rds, "r", "r1"), res(rds, "other", "o1")))
	s.cache.Publish(nodes.MeshScope, set(res(lds, "mesh", "m1")))
	d := s.delta(t, gatewayNode("ns/gw"))
	d.subscribe(cds)
	d.wantAck("clusters +c=c1")
	d.subscribe(lds, "*")
	d.wantAck("listeners +l=l1")
	d.subscribe(rds, "r", "missing")
	d.wantAck("routes +r=r1 -missing")

	s.cache.Publish(scope, set(res(rds, "other", "o2")))
	s.cache.Publish(scope, set(res(rds, "missing", "m1")))
	d.wantAck("routes +missing=m1")
	s.cache.Publish(scope, cache.Update{Delete: []cache.Name{{TypeURL: rds, Name: "r"}}})
	d.wantAck("routes -r")
	d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: rds, ResourceNamesUnsubscribe: []string{"r", "missing"}})
	s.cache.Publish(scope, set(res(rds, "missing", "m2"), res(lds, "l", "l2")))
	d.wantAck("listeners +l=l2")
}

func TestDeltaReconnect(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.cache.Publish(scope, set(res(lds, "a", "a1"), res(lds, "b", "b1"), res(lds, "c", "c1")))
	d := s.delta(t, gatewayNode("ns/gw"))
	d.subscribe(lds)
	versions := map[string]string{}
	for _, r := range d.wantAck("listeners +a=a1 +b=b1 +c=c1").GetResources() {
		versions[r.GetName()] = r.GetVersion()
	}
	s.cache.Publish(scope, cache.Update{Set: []*cache.Resource{res(lds, "b", "b2")}, Delete: []cache.Name{{TypeURL: lds, Name: "c"}}})
	again := s.delta(t, gatewayNode("ns/gw"))
	again.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: lds, InitialResourceVersions: versions})
	again.wantAck("listeners +b=b2 -c")
}

func TestState(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.cache.Publish(nodes.MeshScope, set(res(cds, "c", "c1"), res(lds, "l", "l1"), res(lds, "k", "k1"), res(rds, "r", "r1"), res(rds, "other", "o1")))
	d := s.state(t, &corev3.Node{Id: "proxyless"})
	d.subscribe(lds, "l", "missing")
	d.wantAck("listeners l1")
	d.subscribe(rds, "r")
	d.wantAck("routes r1")
	d.subscribe(cds)
	d.wantAck("clusters c1")
	d.subscribe(lds, "l", "k")
	d.wantAck("listeners k1 l1")
	d.subscribe(lds, "k")
	d.subscribe(rds, "r", "seen") // a round trip, so that the request before has arrived
	d.wantAck("routes")
	s.cache.Publish(nodes.MeshScope, cache.Update{Set: []*cache.Resource{res(lds, "l", "l2")}, Delete: []cache.Name{{TypeURL: lds, Name: "k"}}})
	d.wantAck("listeners")
}

// TestOrder replaces the cluster of a route. The cluster has to come first, and to go last.
func TestOrder(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.cache.Publish(scope, set(res(cds, "c1", "1"), res(eds, "c1", "1"), res(lds, "l1", "1"), res(rds, "r", "c1")))
	swap := cache.Update{
		Set:    []*cache.Resource{res(rds, "r", "c2"), res(lds, "l2", "2"), res(eds, "c2", "2"), res(cds, "c2", "2")},
		Delete: []cache.Name{{TypeURL: cds, Name: "c1"}, {TypeURL: eds, Name: "c1"}, {TypeURL: lds, Name: "l1"}},
	}
	d, st := s.delta(t, gatewayNode("ns/gw")), s.state(t, gatewayNode("ns/gw"))
	d.subscribe(cds)
	d.wantAck("clusters +c1=1")
	d.subscribe(eds, "*")
	d.wantAck("endpoints +c1=1")
	d.subscribe(lds)
	d.wantAck("listeners +l1=1")
	d.subscribe(rds, "r")
	d.wantAck("routes +r=c1")
	st.subscribe(cds)
	st.wantAck("clusters 1")
	st.subscribe(lds)
	st.wantAck("listeners 1")
	st.subscribe(rds, "r")
	st.wantAck("routes c1")
	// Round trips, so that all acknowledgements have arrived.
	d.subscribe(rds, "seen")
	d.wantAck("routes -seen")
	st.subscribe(rds, "r", "seen")
	st.wantAck("routes")

	s.cache.Publish(scope, swap)
	d.wantAck("clusters +c2=2")
	d.wantAck("endpoints +c2=2")
	d.wantAck("listeners +l2=2 -l1")
	d.wantAck("routes +r=c2")
	d.wantAck("clusters -c1")
	d.wantAck("endpoints -c1")
	st.wantAck("clusters 2 1")
	st.wantAck("listeners 2")
	st.wantAck("routes c2")
	st.wantAck("clusters 2")
}

func TestUnknownGateway(t *testing.T) {
	t.Parallel()
	s := serve(t)
	d, st := s.delta(t, gatewayNode("ns/gw")), s.state(t, gatewayNode("ns/gw"))
	d.subscribe(lds)
	st.subscribe(lds)
	// Another node's stream is answered, so that the requests before it have arrived, or will find nothing published.
	s.cache.Publish(nodes.MeshScope, cache.Update{})
	other := s.delta(t, &corev3.Node{Id: "other"})
	other.subscribe(lds)
	other.wantAck("listeners")
	for nodes := s.Nodes(); len(nodes) != 2 || nodes[0].Streams != 2; nodes = s.Nodes() {
		other.subscribe(lds, "any")
		other.wantAck("listeners -any")
	}
	s.cache.Publish(scope, set(res(lds, "l", "l1")))
	d.wantAck("listeners +l=l1")
	st.wantAck("listeners l1")
	lines := s.logged("nothing has published")
	if len(lines) != 1 || !strings.Contains(lines[0], `"scope"="gateway/ns/gw"`) || !strings.Contains(lines[0], `"node"="node-1"`) {
		t.Errorf("logged %q, want a line with scope and node", lines)
	}
}

func TestScopeStays(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.cache.Publish(scope, set(res(lds, "l", "mine"), res(rds, "r", "mine")))
	s.cache.Publish(nodes.GatewayScope("ns/other"), set(res(lds, "l", "theirs"), res(rds, "r", "theirs")))
	d, st := s.delta(t, gatewayNode("ns/gw")), s.state(t, gatewayNode("ns/gw"))
	d.subscribe(lds)
	d.wantAck("listeners +l=mine")
	st.subscribe(lds)
	st.wantAck("listeners mine")
	d.node, st.node = gatewayNode("ns/other"), gatewayNode("ns/other")
	d.subscribe(rds, "r")
	d.wantAck("routes +r=mine")
	st.subscribe(rds, "r")
	st.wantAck("routes mine")
}

func TestMalformedGateway(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, gateway := range []string{"", "gw", "ns/", "/gw", "a/b/c", "NS/gw", "ns/gw ", "ns/gw\nI0101 forged", "..", strings.Repeat("x", 1000)} {
		d, st := s.delta(t, gatewayNode(gateway)), s.state(t, gatewayNode(gateway))
		d.subscribe(lds)
		st.subscribe(lds)
		_, err := d.Recv()
		_, stErr := st.Recv()
		for _, err := range []error{err, stErr} {
			if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), nodes.GatewayKey) || len(err.Error()) > 1000 {
				t.Errorf("gateway %q: got error %q, want InvalidArgument about %s", gateway, err, nodes.GatewayKey)
			}
		}
	}
	for _, line := range s.logged("") {
		if strings.Contains(line, "\n") {
			t.Errorf("a node wrote a line of its own into the log: %q", line)
		}
	}
	if lines := s.logged("Refused"); len(lines) != 10 {
		t.Errorf("logged %d refusals, want one for each reason: %q", len(lines), lines)
	}
}

// TestMoved holds that a stream ends when its node is to have another scope, that the client isn't told before that all it has
// is gone, and that streams of other nodes go on.
func TestMoved(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.cache.Publish(scope, set(res(lds, "l", "alone")))
	s.cache.Publish(nodes.GatewayScope("ns/other"), set(res(lds, "l", "other")))
	d, st, other := s.delta(t, gatewayNode("ns/gw")), s.state(t, gatewayNode("ns/gw")), s.delta(t, gatewayNode("ns/other"))
	d.subscribe(lds)
	d.wantAck("listeners +l=alone")
	st.subscribe(lds)
	st.wantAck("listeners alone")
	other.subscribe(lds)
	other.wantAck("listeners +l=other")

	// As the engine does: what is new, who gets it, and then what is gone.
	s.cache.Publish(nodes.FleetScope("ns/fleet"), set(res(lds, "l", "merged")))
	s.nodes.Publish(map[string]*nodes.Fleet{"ns/fleet": {Merged: true, Gateways: []string{"ns/gw"}}})
	s.cache.Withdraw(scope)
	_, err := d.Recv()
	_, stErr := st.Recv()
	for _, err := range []error{err, stErr} {
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "reconnect") {
			t.Errorf("got %v, want Unavailable, and what to do", err)
		}
	}
	if lines := s.logged("serve something else"); len(lines) != 1 || !strings.Contains(lines[0], `"streams"=2`) {
		t.Errorf("logged %q, want one line for 2 streams", lines)
	}
	d = s.delta(t, gatewayNode("ns/gw"))
	d.subscribe(lds)
	d.wantAck("listeners +l=merged")
	s.cache.Publish(nodes.GatewayScope("ns/other"), set(res(lds, "l", "still")))
	other.wantAck("listeners +l=still")

	// A node that isn't one of the fleet any more is refused.
	s.nodes.Publish(map[string]*nodes.Fleet{"ns/fleet": {Merged: true, Gateways: []string{"ns/gw"}, Selectors: []nodes.Selector{{ID: new("edge-*")}}}})
	if _, err := d.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v, want Unavailable", err)
	}
	d = s.delta(t, gatewayNode("ns/gw"))
	d.subscribe(lds)
	if _, err := d.Recv(); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "EnvoyFleet ns/fleet") {
		t.Errorf("got %v, want InvalidArgument, and why", err)
	}
}

func TestRejection(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.cache.Publish(scope, set(res(lds, "bad", "b1")))
	const reason = "Error adding/updating listener(s) bad: no filter chains\nforged line"
	d := s.delta(t, gatewayNode("ns/gw"))
	d.subscribe(lds)
	d.nack(d.want("listeners +bad=b1"), reason)
	// A later request is answered, so there was no answer to the rejection.
	d.subscribe(rds, "r")
	d.wantAck("routes -r")
	// Nor is it sent again after a reconnect.
	d = s.delta(t, gatewayNode("ns/gw"))
	d.subscribe(lds)
	d.wantAck("listeners")
	lines := s.logged("rejected")
	if len(lines) != 1 {
		t.Fatalf("logged %q, want one line", lines)
	}
	for _, want := range []string{`"node"="node-1"`, `"scope"="gateway/ns/gw"`, `"type"="listeners"`, "no filter chains"} {
		if !strings.Contains(lines[0], want) {
			t.Errorf("logged %s, want %s in it", lines[0], want)
		}
	}

	s.cache.Publish(scope, set(res(lds, "bad", "b2")))
	st := s.state(t, gatewayNode("ns/gw"))
	st.subscribe(lds)
	for i := range 3 {
		st.nack(st.want(fmt.Sprint("listeners b", 2+i)), reason)
		s.cache.Publish(scope, set(res(lds, "bad", fmt.Sprint("b", 3+i))))
	}
	st.wantAck("listeners b5")
	if lines := s.logged("rejected"); len(lines) != 4 {
		t.Errorf("logged %q, want a line for each of 4 versions", lines)
	}
}

// TestLateRejection rejects a response when the next one is on its way.
func TestLateRejection(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.cache.Publish(scope, set(res(rds, "a", "a1"), res(rds, "b", "b1")))
	d := s.delta(t, gatewayNode("ns/gw"))
	d.subscribe(rds, "a")
	first := d.want("routes +a=a1")
	d.subscribe(rds, "b")
	second := d.want("routes +b=b1")
	d.nack(first, "no a")
	d.ack(second)
	d.subscribe(rds, "seen")
	d.wantAck("routes -seen")
	if lines := s.logged("no a"); len(lines) != 1 || !strings.Contains(lines[0], "superseded") {
		t.Errorf("logged %q, want one line", lines)
	}
}

// TestCrossedRejection is TestLateRejection in the state-of-the-world protocol, in which each of two responses says nothing of what is in
// the other: the client asks for more before it looks at the first.
func TestCrossedRejection(t *testing.T) {
	t.Parallel()
	for _, crossed := range []struct {
		name   string
		detail *rpcstatus.Status
		good   string // of a later version that another client rejects
	}{
		{"rejected", &rpcstatus.Status{Message: "no a"}, "a1"},
		{"accepted", nil, "a2"},
	} {
		t.Run(crossed.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			s.cache.Publish(scope, set(res(rds, "a", "a1"), res(rds, "b", "b1")))
			st := s.state(t, gatewayNode("ns/gw"))
			st.subscribe(rds, "a")
			has := st.wantAck("routes a1")
			s.cache.Publish(scope, set(res(rds, "a", "a2")))
			first := st.want("routes a2")
			st.names[rds] = []string{"a", "b"}
			st.send(&discoveryv3.DiscoveryRequest{TypeUrl: rds, VersionInfo: has.GetVersionInfo()})
			second := st.want("routes b1")
			answer := &discoveryv3.DiscoveryRequest{TypeUrl: rds, ResourceNames: st.names[rds], ResponseNonce: first.GetNonce(),
				VersionInfo: first.GetVersionInfo(), ErrorDetail: crossed.detail}
			if crossed.detail != nil {
				answer.VersionInfo = has.GetVersionInfo()
			}
			if err := st.Send(answer); err != nil {
				t.Fatal(err)
			}
			st.ack(second)
			if crossed.detail != nil {
				st.wantAck("routes a1")
			}
			st.subscribe(lds) // is answered after that
			st.wantAck("listeners")
			s.cache.Publish(scope, set(res(rds, "a", "a3")))
			d := s.delta(t, gatewayNode("ns/gw"))
			d.subscribe(rds, "a")
			d.nack(d.want("routes +a=a3"), "no a")
			d.wantAck("routes +a=" + crossed.good)
		})
	}
}

func TestServicesOfOneType(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.cache.Publish(scope, set(res(lds, "l", "l1"), res(eds, "e", "e1")))
	lstream, err := listenerservice.NewListenerDiscoveryServiceClient(s.conn).DeltaListeners(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := lstream.Send(&discoveryv3.DeltaDiscoveryRequest{Node: gatewayNode("ns/gw")}); err != nil {
		t.Fatal(err)
	}
	resp, err := lstream.Recv()
	if err != nil || len(resp.GetResources()) != 1 || resp.GetTypeUrl() != lds {
		t.Errorf("got %v, %v, want a listener", resp, err)
	}
	// The type may be left out on these streams.
	if err := lstream.Send(&discoveryv3.DeltaDiscoveryRequest{ResponseNonce: resp.GetNonce(), ResourceNamesSubscribe: []string{"m"},
		ErrorDetail: &rpcstatus.Status{Message: "no"}}); err != nil {
		t.Fatal(err)
	}
	if resp, err := lstream.Recv(); err != nil || len(resp.GetRemovedResources()) != 1 {
		t.Errorf("got %v, %v, want an answer about m", resp, err)
	}
	if lines := s.logged("rejected"); len(lines) != 1 {
		t.Errorf("logged %q, want one line", lines)
	}
	estream, err := endpointservice.NewEndpointDiscoveryServiceClient(s.conn).StreamEndpoints(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := estream.Send(&discoveryv3.DiscoveryRequest{Node: gatewayNode("ns/gw"), ResourceNames: []string{"e"}}); err != nil {
		t.Fatal(err)
	}
	if resp, err := estream.Recv(); err != nil || len(resp.GetResources()) != 1 || resp.GetTypeUrl() != eds {
		t.Errorf("got %v, %v, want endpoints", resp, err)
	}
	if _, err := listenerservice.NewListenerDiscoveryServiceClient(s.conn).FetchListeners(t.Context(), &discoveryv3.DiscoveryRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("unary fetch: got %v, want Unimplemented", err)
	}
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	s.cache.Publish(nodes.MeshScope, set(res(lds, "l", "l1")))
	d := s.delta(t, nil)
	d.subscribe(lds)
	d.wantAck("listeners +l=l1")
	silent := s.delta(t, nil) // never says who it is
	s.Shutdown(context.Background())
	if _, err := d.Recv(); err != io.EOF {
		t.Errorf("the stream ended with %v, want EOF", err)
	}
	if _, err := silent.Recv(); err == nil {
		t.Error("the silent stream goes on")
	}
	if err := <-served; err != nil {
		t.Errorf("Serve returned %v after Shutdown, want nil", err)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.cache.Publish(nodes.MeshScope, set(res(lds, "l", "l1")))
	d := s.delta(t, nil)
	d.subscribe(lds)
	d.nack(d.want("listeners +l=l1"), "no")
	d.subscribe(rds, "r")
	d.wantAck("routes -r")
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, label := range m.GetLabel() {
				found[f.GetName()+" "+label.GetValue()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	for _, name := range []string{
		"gateway_apiserver_xds_streams delta",
		"gateway_apiserver_xds_responses_total listeners",
		"gateway_apiserver_xds_responses_total routes",
		"gateway_apiserver_xds_resources_sent_total listeners",
		"gateway_apiserver_xds_nacks_total listeners",
	} {
		if found[name] < 1 { // other tests run in parallel
			t.Errorf("metric %s is %v", name, found[name])
		}
	}
}
