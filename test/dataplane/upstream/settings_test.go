package upstream

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	dnsclusterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	upstreamhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestRefusedClusters(t *testing.T) {
	t.Parallel()
	thresholds := func(ts ...*clusterv3.CircuitBreakers_Thresholds) *clusterv3.CircuitBreakers {
		return &clusterv3.CircuitBreakers{Thresholds: ts}
	}
	for want, change := range map[string]func(*clusterv3.Cluster){
		"Name":      func(c *clusterv3.Cluster) { c.Name = "" }, // by Envoy's own rules
		"lb_policy": func(c *clusterv3.Cluster) { c.LbPolicy = clusterv3.Cluster_LEAST_REQUEST },
		"LOGICAL_DNS": func(c *clusterv3.Cluster) {
			c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_LOGICAL_DNS}
		},
		"eds_cluster_config: the type is STATIC": func(c *clusterv3.Cluster) {
			c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
		},
		"eds_cluster_config.eds_config":    func(c *clusterv3.Cluster) { c.EdsClusterConfig.EdsConfig = nil },
		"load_assignment: the type is EDS": func(c *clusterv3.Cluster) { c.LoadAssignment = assignment() },
		"load_assignment: required": func(c *clusterv3.Cluster) {
			c.ClusterDiscoveryType, c.EdsClusterConfig = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}, nil
		},
		"health_checks": func(c *clusterv3.Cluster) {
			c.HealthChecks = []*corev3.HealthCheck{{
				Timeout: durationpb.New(1), Interval: durationpb.New(1), UnhealthyThreshold: wrapperspb.UInt32(1), HealthyThreshold: wrapperspb.UInt32(1),
				HealthChecker: &corev3.HealthCheck_TcpHealthCheck_{TcpHealthCheck: &corev3.HealthCheck_TcpHealthCheck{}},
			}}
		},
		"circuit_breakers.thresholds: one": func(c *clusterv3.Cluster) {
			c.CircuitBreakers = thresholds(&clusterv3.CircuitBreakers_Thresholds{}, &clusterv3.CircuitBreakers_Thresholds{})
		},
		"circuit_breakers.thresholds[0].max_requests": func(c *clusterv3.Cluster) {
			c.CircuitBreakers = thresholds(&clusterv3.CircuitBreakers_Thresholds{MaxRequests: wrapperspb.UInt32(1)})
		},
		"transport_socket: ": func(c *clusterv3.Cluster) {
			c.TransportSocket = &corev3.TransportSocket{Name: "envoy.transport_sockets.quic"}
		},
		"transport_socket: typed_config": func(c *clusterv3.Cluster) {
			c.TransportSocket = &corev3.TransportSocket{Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed(t, c)}}
		},
		"cluster_type: envoy.clusters.redis": func(c *clusterv3.Cluster) {
			c.ClusterDiscoveryType = &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{Name: "envoy.clusters.redis"}}
		},
		"dns_lookup_family": func(c *clusterv3.Cluster) {
			c.EdsClusterConfig = nil
			c.ClusterDiscoveryType = &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
				Name: "envoy.cluster.dns", TypedConfig: packed(t, &dnsclusterv3.DnsCluster{}),
			}}
		},
		"typed_extension_protocol_options: other": func(c *clusterv3.Cluster) {
			c.TypedExtensionProtocolOptions = map[string]*anypb.Any{"other": packed(t, c)}
		},
		"explicit_http_config.http2_protocol_options.max_concurrent_streams": func(c *clusterv3.Cluster) {
			http2(t, c, &corev3.Http2ProtocolOptions{MaxConcurrentStreams: wrapperspb.UInt32(1)})
		},
		"use_downstream_protocol_config": func(c *clusterv3.Cluster) {
			c.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpProtocolOptions: packed(t, &upstreamhttpv3.HttpProtocolOptions{
				UpstreamProtocolOptions: &upstreamhttpv3.HttpProtocolOptions_UseDownstreamProtocolConfig{
					UseDownstreamProtocolConfig: &upstreamhttpv3.HttpProtocolOptions_UseDownstreamHttpConfig{},
				},
			})}
		},
	} {
		config := eds()
		change(config)
		c, err := New(config, Deps{})
		if err == nil {
			c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestRefusedAssignments(t *testing.T) {
	t.Parallel()
	c := newCluster(t, eds(), "127.0.0.1:80")
	endpoint := func(a *endpointv3.ClusterLoadAssignment) *endpointv3.LbEndpoint { return a.Endpoints[0].LbEndpoints[0] }
	for want, change := range map[string]func(*endpointv3.ClusterLoadAssignment){
		"cluster_name":                func(a *endpointv3.ClusterLoadAssignment) { a.ClusterName = "other" },
		"policy":                      func(a *endpointv3.ClusterLoadAssignment) { a.Policy = &endpointv3.ClusterLoadAssignment_Policy{} },
		"endpoints[0].priority":       func(a *endpointv3.ClusterLoadAssignment) { a.Endpoints[0].Priority = 1 },
		"lb_endpoints[0].health_stat": func(a *endpointv3.ClusterLoadAssignment) { endpoint(a).HealthStatus = corev3.HealthStatus_UNHEALTHY },
		"malformed IP address: web": func(a *endpointv3.ClusterLoadAssignment) {
			endpoint(a).GetEndpoint().GetAddress().GetSocketAddress().Address = "web"
		},
		"socket_address: required": func(a *endpointv3.ClusterLoadAssignment) { endpoint(a).GetEndpoint().Address = nil },
	} {
		a := assignment("127.0.0.2:80")
		change(a)
		if err := c.Update(a); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if got := pick(t, c).Address().String(); got != "127.0.0.1:80" {
		t.Errorf("after assignments that were refused, %s is picked", got)
	}
}

func TestEDSName(t *testing.T) {
	t.Parallel()
	named := eds()
	named.EdsClusterConfig.ServiceName = "service"
	if got := newCluster(t, named).EDSName(); got != "service" {
		t.Errorf("it asks for %q, want the service_name", got)
	}
	if got := newCluster(t, eds()).EDSName(); got != "test" {
		t.Errorf("it asks for %q, want the cluster's name", got)
	}
}

func TestHTTP2Options(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		options *corev3.Http2ProtocolOptions
		want    http.HTTP2Config
	}{
		"Envoy's defaults": {
			&corev3.Http2ProtocolOptions{},
			http.HTTP2Config{MaxReceiveBufferPerStream: 16 << 20, MaxReceiveBufferPerConnection: 24 << 20},
		},
		"all": {
			&corev3.Http2ProtocolOptions{
				InitialStreamWindowSize: wrapperspb.UInt32(1 << 16), InitialConnectionWindowSize: wrapperspb.UInt32(1 << 20),
				ConnectionKeepalive: &corev3.KeepaliveSettings{Interval: durationpb.New(time.Minute), Timeout: durationpb.New(time.Second)},
			},
			http.HTTP2Config{
				MaxReceiveBufferPerStream: 1 << 16, MaxReceiveBufferPerConnection: 1 << 20,
				SendPingTimeout: time.Minute, PingTimeout: time.Second,
			},
		},
	} {
		if got := newCluster(t, http2(t, eds(), tt.options)).http2; got == nil || !reflect.DeepEqual(*got, tt.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
	if got := newCluster(t, eds()).http2; got != nil {
		t.Errorf("without options, HTTP/2 is spoken: %+v", got)
	}
}
