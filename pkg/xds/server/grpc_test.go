package server

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/xds"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// counted counts the responses that a server sends.
type counted struct {
	grpc.ServerStream
	responses *atomic.Int64
}

func (c counted) SendMsg(m any) error {
	c.responses.Add(1)
	return c.ServerStream.SendMsg(m)
}

// message returns the resource of a message.
func message(t *testing.T, typeURL, name string, m proto.Message) *cache.Resource {
	t.Helper()
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return cache.NewResource(typeURL, name, value)
}

func packed(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func adsSource() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		ResourceApiVersion:    corev3.ApiVersion_V3,
	}
}

func apiListener(t *testing.T, name string) *cache.Resource {
	return message(t, lds, name, &listenerv3.Listener{
		Name: name,
		ApiListener: &listenerv3.ApiListener{ApiListener: packed(t, &hcmv3.HttpConnectionManager{
			RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: adsSource(), RouteConfigName: name}},
			HttpFilters: []*hcmv3.HttpFilter{{
				Name:       "router",
				ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: packed(t, &routerv3.Router{})},
			}},
		})},
	})
}

func routeTo(t *testing.T, name, cluster string) *cache.Resource {
	return message(t, rds, name, &routev3.RouteConfiguration{
		Name: name,
		VirtualHosts: []*routev3.VirtualHost{{
			Name:    "all",
			Domains: []string{"*"},
			Routes: []*routev3.Route{{
				Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: ""}},
				Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}}},
			}},
		}},
	})
}

func clusterOf(t *testing.T, name string, policy clusterv3.Cluster_LbPolicy) *cache.Resource {
	return message(t, cds, name, &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: adsSource()},
		LbPolicy:             policy,
	})
}

func endpointsAt(t *testing.T, name string, addr *net.TCPAddr) *cache.Resource {
	return message(t, eds, name, &endpointv3.ClusterLoadAssignment{
		ClusterName: name,
		Endpoints: []*endpointv3.LocalityLbEndpoints{{
			Locality:            &corev3.Locality{Region: "here"},
			LoadBalancingWeight: wrapperspb.UInt32(1),
			LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
				Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
					Address:       addr.IP.String(),
					PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(addr.Port)},
				}}},
			}}}},
		}},
	})
}

// backend serves the health service on a loopback port, in which only the service name is SERVING.
func backend(t *testing.T, name string) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := health.NewServer()
	h.SetServingStatus(name, healthpb.HealthCheckResponse_SERVING)
	s := grpc.NewServer()
	healthpb.RegisterHealthServer(s, h)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().(*net.TCPAddr)
}

// TestProxylessGRPC runs grpc-go's own xDS client: a call goes where the routes say, also after they have changed, and a
// rejected configuration is sent once.
func TestProxylessGRPC(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	s := serve(t, func(c *Config) {
		c.Options = append(c.Options, grpc.ChainStreamInterceptor(func(srv any, str grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			return handler(srv, counted{str, &sent})
		}))
	})
	one, two := backend(t, "one"), backend(t, "two")
	publishes := int64(0)
	publish := func(u cache.Update) {
		publishes++
		s.cache.Publish(nodes.MeshScope, u)
	}
	publish(set(
		apiListener(t, "color.faces:80"), routeTo(t, "color.faces:80", "one"),
		clusterOf(t, "one", clusterv3.Cluster_ROUND_ROBIN), endpointsAt(t, "one", one),
		apiListener(t, "unrelated"), clusterOf(t, "unrelated", clusterv3.Cluster_ROUND_ROBIN),
	))

	resolver, err := xds.NewXDSResolverWithConfigForTesting(fmt.Appendf(nil, `{
		"xds_servers": [{"server_uri": %s, "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}],
		"node": {"id": "proxyless-1"}
	}`, strconv.Quote(s.addr)))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("xds:///color.faces:80", grpc.WithResolvers(resolver), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // turns a hang into a failure
	defer cancel()
	call := func(service string) error {
		_, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: service}, grpc.WaitForReady(true))
		return err
	}
	if err := call("one"); err != nil {
		t.Fatal(err)
	}

	publish(cache.Update{
		Set:    []*cache.Resource{routeTo(t, "color.faces:80", "two"), endpointsAt(t, "two", two), clusterOf(t, "two", clusterv3.Cluster_ROUND_ROBIN)},
		Delete: []cache.Name{{TypeURL: cds, Name: "one"}, {TypeURL: eds, Name: "one"}},
	})
	for call("two") != nil { // the old route answers NotFound, until the client has the new one
		if ctx.Err() != nil {
			t.Fatal("the client did not follow the route")
		}
	}

	publish(set(clusterOf(t, "two", clusterv3.Cluster_MAGLEV))) // gRPC has no such policy
	for len(s.logged("rejected")) == 0 {
		if err := call("two"); err != nil {
			t.Fatalf("after a rejection: %v", err)
		}
	}
	// The client is at work while nothing changes, so a repeated response would be among those counted.
	for range 100 {
		if err := call("two"); err != nil {
			t.Fatalf("after a rejection: %v", err)
		}
	}
	// Of each of four types there is at most a response for each change, and for each change of the subscription: two names
	// of clusters and endpoints each come and go.
	if most := 4*publishes + 8; sent.Load() > most {
		t.Errorf("%d responses to %d changes, want at most %d", sent.Load(), publishes, most)
	}
	if lines := s.logged("rejected"); len(lines) != 1 {
		t.Errorf("logged %q, want one line", lines)
	}
}
