package translate

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	discoverygrpc "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	cachetypes "github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	serverv3 "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/xds"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// A real gRPC client is the judge of what is made for gRPC clients: it takes the listeners, and sends calls where the
// routes say.
func TestProxylessClient(t *testing.T) {
	t.Parallel()
	a, b := serveBackend(t), serveBackend(t)
	host := &graph.MeshHostFacts{Key: service("color", 80), Routes: []*graph.RouteFacts{
		httpRoute(t, "http", `{rules: [
			{matches: [{headers: [{name: To, value: b}]}, {headers: [{name: to, type: RegularExpression, value: "[xb]+"}], queryParams: [{name: q, value: v}]}],
				backendRefs: [{name: b, port: 80}]},
			{matches: [{headers: [{name: re, type: RegularExpression, value: "b+"}]}], timeouts: {request: 10s}, backendRefs: [{name: b, port: 80}]},
			{matches: [{headers: [{name: to, value: prefix}], path: {value: /grpc.health.v1.Health}}], backendRefs: [{name: b, port: 80}]},
			{matches: [{headers: [{name: to, value: half}]}], backendRefs: [{name: b, port: 80}, {name: missing, port: 80}]},
			{matches: [{headers: [{name: to, value: redirect}]}], filters: [{type: RequestRedirect, requestRedirect: {hostname: a}}]},
			{backendRefs: [{name: a, port: 80, weight: 50}, {name: b, port: 80, weight: 50}]}]}`),
		grpcRoute(t, "grpc", `{rules: [
			{matches: [{method: {type: RegularExpression, service: ".*Health", method: "C.+"}, headers: [{name: to, value: a}]}],
				backendRefs: [{name: a, port: 80}]}]}`),
	}}
	client := dial(t, host, map[string]*testBackend{"a": a, "b": b})

	for _, tt := range []struct {
		name           string
		headers        []string
		a, b, failures [2]int // bounds of the calls, of 200
	}{
		{"split", nil, [2]int{50, 150}, [2]int{50, 150}, [2]int{}},
		{"header", []string{"to", "b"}, [2]int{}, [2]int{200, 200}, [2]int{}},
		{"header by expression", []string{"re", "bb"}, [2]int{}, [2]int{200, 200}, [2]int{}},
		{"path elements", []string{"to", "prefix"}, [2]int{}, [2]int{200, 200}, [2]int{}},
		{"method by expression", []string{"to", "a"}, [2]int{200, 200}, [2]int{}, [2]int{}},
		{"invalid backend", []string{"to", "half"}, [2]int{}, [2]int{50, 150}, [2]int{50, 150}},
		{"filter that needs a proxy", []string{"to", "redirect"}, [2]int{}, [2]int{}, [2]int{200, 200}},
	} {
		a.calls.Store(0)
		b.calls.Store(0)
		failures := 0
		for range 200 {
			ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), tt.headers...), 10*time.Second)
			if _, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); status.Code(err) == codes.Unavailable {
				failures++
			} else if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			cancel()
		}
		for _, n := range []struct {
			what   string
			got    int
			bounds [2]int
		}{{"a", int(a.calls.Load()), tt.a}, {"b", int(b.calls.Load()), tt.b}, {"failures", failures, tt.failures}} {
			if n.got < n.bounds[0] || n.got > n.bounds[1] {
				t.Errorf("%s: %s: %d not in %v", tt.name, n.what, n.got, n.bounds)
			}
		}
	}
}

// testBackend is a gRPC server that counts calls.
type testBackend struct {
	grpc_health_v1.UnimplementedHealthServer
	calls   atomic.Int64
	address *net.TCPAddr
}

func (s *testBackend) Check(context.Context, *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	s.calls.Add(1)
	return &grpc_health_v1.HealthCheckResponse{}, nil
}

func serveBackend(t *testing.T) *testBackend {
	s := &testBackend{}
	s.address = serve(t, func(server *grpc.Server) { grpc_health_v1.RegisterHealthServer(server, s) })
	return s
}

func serve(t *testing.T, register func(*grpc.Server)) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	register(server)
	go server.Serve(l)
	t.Cleanup(server.Stop)
	return l.Addr().(*net.TCPAddr)
}

// dial serves a mesh host and the Services that back it over ADS, and returns a client that has only its name.
func dial(t *testing.T, host *graph.MeshHostFacts, backends map[string]*testBackend) grpc_health_v1.HealthClient {
	t.Helper()
	listeners, keys, empty := MeshListeners(host)
	resources := map[resourcev3.Type][]cachetypes.Resource{}
	for _, l := range listeners {
		resources[resourcev3.ListenerType] = append(resources[resourcev3.ListenerType], l)
	}
	if empty != nil {
		resources[resourcev3.ClusterType] = append(resources[resourcev3.ClusterType], empty.Cluster)
		resources[resourcev3.EndpointType] = append(resources[resourcev3.EndpointType], empty.Endpoints)
	}
	for _, key := range keys {
		address := backends[key.Name].address
		slice := &discoveryv1.EndpointSlice{}
		parse(t, fmt.Sprintf(`{addressType: IPv4, ports: [{port: %d}], endpoints: [{addresses: [%s], zone: z}]}`, address.Port, address.IP), slice)
		sp := &graph.BackendPortFacts{Key: key.BackendKey, Port: &corev1.ServicePort{Port: key.Port}, Slices: []*discoveryv1.EndpointSlice{slice}}
		resources[resourcev3.ClusterType] = append(resources[resourcev3.ClusterType], Cluster(key, sp))
		resources[resourcev3.EndpointType] = append(resources[resourcev3.EndpointType], ClusterLoadAssignment(sp))
	}
	snapshot, err := cachev3.NewSnapshot("1", resources)
	if err != nil {
		t.Fatal(err)
	}
	cache := cachev3.NewSnapshotCache(false, cachev3.IDHash{}, nil)
	if err := cache.SetSnapshot(t.Context(), "test", snapshot); err != nil {
		t.Fatal(err)
	}
	address := serve(t, func(server *grpc.Server) {
		discoverygrpc.RegisterAggregatedDiscoveryServiceServer(server, serverv3.NewServer(t.Context(), cache, rejections{t: t}))
	})
	resolver, err := xds.NewXDSResolverWithConfigForTesting(fmt.Appendf(nil,
		`{"xds_servers": [{"server_uri": %q, "channel_creds": [{"type": "insecure"}]}], "node": {"id": "test"}}`, address))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("xds:///color.ns.svc.cluster.local:80", grpc.WithResolvers(resolver), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return grpc_health_v1.NewHealthClient(conn)
}

// rejections fails the test when a client rejects a resource.
type rejections struct {
	serverv3.CallbackFuncs
	t *testing.T
}

func (r rejections) OnStreamRequest(_ int64, request *discoverygrpc.DiscoveryRequest) error {
	if request.ErrorDetail != nil {
		r.t.Errorf("rejected: %s", request.ErrorDetail.Message)
	}
	return nil
}
