package server

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/go-logr/logr/funcr"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

const (
	cds = resource.ClusterType
	eds = resource.EndpointType
	lds = resource.ListenerType
	rds = resource.RouteType
)

// res returns a resource whose content is a string. Only clusters are read by the cache, and only if they can be.
func res(typeURL, name, content string) *cache.Resource {
	return cache.NewResource(typeURL, name, []byte(content))
}

func set(rs ...*cache.Resource) cache.Update { return cache.Update{Set: rs} }

// testServer is a server on a loopback port.
type testServer struct {
	*Server
	cache  *cache.Cache
	nodes  nodes.Directory
	addr   string
	conn   *grpc.ClientConn
	served chan error

	mu  sync.Mutex
	log []string
}

// serve serves without a drain, unless a Config says otherwise.
func serve(t *testing.T, change ...func(*Config)) *testServer {
	t.Helper()
	s := &testServer{cache: cache.New(), served: make(chan error, 1)}
	c := Config{Cache: s.cache, Nodes: &s.nodes, Limits: Limits{Drain: -1}, Logger: funcr.New(func(_, args string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.log = append(s.log, args)
	}, funcr.Options{})}
	for _, change := range change {
		change(&c)
	}
	s.Server = New(c)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	go func() { s.served <- s.Serve(l) }()
	s.conn, err = grpc.NewClient(s.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.conn.Close()
		s.Shutdown(context.Background())
		if err := <-s.served; err != nil {
			t.Error(err)
		}
	})
	return s
}

// logged returns the lines of the log that contain a string.
func (s *testServer) logged(with string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.log), func(line string) bool { return !strings.Contains(line, with) })
}

// waitUnused waits until all streams have ended.
func (s *testServer) waitUnused() {
	for s.inUse() > 0 {
		time.Sleep(time.Millisecond)
	}
}

func (s *testServer) inUse() int {
	s.Server.mu.Lock()
	sessions := len(s.sessions)
	s.Server.mu.Unlock()
	s.peers.mu.Lock()
	defer s.peers.mu.Unlock()
	return sessions + s.peers.all.streams + s.peers.all.unproven
}

func gatewayNode(gateway string) *corev3.Node {
	return &corev3.Node{Id: "node-1", Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
		nodes.GatewayKey: structpb.NewStringValue(gateway),
	}}}
}

// buildVersion is that of an Envoy.
func buildVersion(major, minor, patch uint32) *corev3.Node_UserAgentBuildVersion {
	return &corev3.Node_UserAgentBuildVersion{UserAgentBuildVersion: &corev3.BuildVersion{
		Version: &typev3.SemanticVersion{MajorNumber: major, MinorNumber: minor, Patch: patch},
	}}
}

// deltaStream is a client of the delta protocol over ADS.
type deltaStream struct {
	t    *testing.T
	node *corev3.Node // for the first request
	discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
}

func (s *testServer) delta(t *testing.T, node *corev3.Node) *deltaStream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	str, err := discoveryv3.NewAggregatedDiscoveryServiceClient(s.conn).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return &deltaStream{t: t, node: node, AggregatedDiscoveryService_DeltaAggregatedResourcesClient: str}
}

func (d *deltaStream) send(req *discoveryv3.DeltaDiscoveryRequest) {
	d.t.Helper()
	if d.node != nil {
		req.Node, d.node = d.node, nil
	}
	if err := d.Send(req); err != nil {
		d.t.Fatal(err)
	}
}

func (d *deltaStream) subscribe(typeURL string, names ...string) {
	d.t.Helper()
	d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: names})
}

func (d *deltaStream) ack(resp *discoveryv3.DeltaDiscoveryResponse) {
	d.t.Helper()
	d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resp.GetTypeUrl(), ResponseNonce: resp.GetNonce()})
}

func (d *deltaStream) nack(resp *discoveryv3.DeltaDiscoveryResponse, message string) {
	d.t.Helper()
	d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resp.GetTypeUrl(), ResponseNonce: resp.GetNonce(),
		ErrorDetail: &rpcstatus.Status{Message: message}})
}

// want reads a response and compares it, written as "clusters +a=content -b".
func (d *deltaStream) want(want string) *discoveryv3.DeltaDiscoveryResponse {
	d.t.Helper()
	resp, err := d.Recv()
	if err != nil {
		d.t.Fatal(err)
	}
	parts := []string{}
	for _, r := range resp.GetResources() {
		parts = append(parts, "+"+r.GetName()+"="+string(r.GetResource().GetValue()))
	}
	for _, name := range resp.GetRemovedResources() {
		parts = append(parts, "-"+name)
	}
	slices.Sort(parts)
	if got := strings.Join(append([]string{typeLabel(resp.GetTypeUrl())}, parts...), " "); got != want {
		d.t.Fatalf("got response %q, want %q", got, want)
	}
	return resp
}

func (d *deltaStream) wantAck(want string) *discoveryv3.DeltaDiscoveryResponse {
	d.t.Helper()
	resp := d.want(want)
	d.ack(resp)
	return resp
}

// stateStream is a client of the state-of-the-world protocol over ADS.
type stateStream struct {
	t     *testing.T
	node  *corev3.Node
	names map[string][]string
	last  map[string]*discoveryv3.DiscoveryResponse
	discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesClient
}

func (s *testServer) state(t *testing.T, node *corev3.Node) *stateStream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	str, err := discoveryv3.NewAggregatedDiscoveryServiceClient(s.conn).StreamAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return &stateStream{t: t, node: node, names: map[string][]string{}, last: map[string]*discoveryv3.DiscoveryResponse{},
		AggregatedDiscoveryService_StreamAggregatedResourcesClient: str}
}

func (s *stateStream) send(req *discoveryv3.DiscoveryRequest) {
	s.t.Helper()
	if s.node != nil {
		req.Node, s.node = s.node, nil
	}
	req.ResourceNames = s.names[req.GetTypeUrl()]
	req.ResponseNonce = s.last[req.GetTypeUrl()].GetNonce()
	if err := s.Send(req); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stateStream) subscribe(typeURL string, names ...string) {
	s.t.Helper()
	s.names[typeURL] = names
	s.send(&discoveryv3.DiscoveryRequest{TypeUrl: typeURL, VersionInfo: s.last[typeURL].GetVersionInfo()})
}

func (s *stateStream) ack(resp *discoveryv3.DiscoveryResponse) {
	s.t.Helper()
	s.send(&discoveryv3.DiscoveryRequest{TypeUrl: resp.GetTypeUrl(), VersionInfo: resp.GetVersionInfo()})
}

func (s *stateStream) nack(resp *discoveryv3.DiscoveryResponse, message string) {
	s.t.Helper()
	s.send(&discoveryv3.DiscoveryRequest{TypeUrl: resp.GetTypeUrl(), ErrorDetail: &rpcstatus.Status{Message: message}})
}

// want reads a response and compares it, written as "listeners content content".
func (s *stateStream) want(want string) *discoveryv3.DiscoveryResponse {
	s.t.Helper()
	resp, err := s.Recv()
	if err != nil {
		s.t.Fatal(err)
	}
	s.last[resp.GetTypeUrl()] = resp
	parts := []string{typeLabel(resp.GetTypeUrl())}
	for _, r := range resp.GetResources() {
		parts = append(parts, string(r.GetValue()))
	}
	if got := strings.Join(parts, " "); got != want {
		s.t.Fatalf("got response %q, want %q", got, want)
	}
	return resp
}

func (s *stateStream) wantAck(want string) *discoveryv3.DiscoveryResponse {
	s.t.Helper()
	resp := s.want(want)
	s.ack(resp)
	return resp
}
