package translate

import (
	"net/netip"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/wrapperspb"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	const http2 = `, typedExtensionProtocolOptions: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {
		"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions,
		explicitHttpConfig: {http2ProtocolOptions: {initialStreamWindowSize: 65536, initialConnectionWindowSize: 1048576}}}}`
	for _, tt := range []struct {
		name       string
		http2, h2c bool
		want       string
	}{
		{"HTTP/1.1", false, false, `name: "ns/a:80"`},
		{"h2c", false, true, `name: "ns/a:80"` + http2},
		{"gRPC", true, false, `name: "ns/a:80/http2"` + http2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := Cluster(ClusterKey{BackendKey: service("a", 80), HTTP2: tt.http2}, &graph.BackendPortFacts{Key: service("a", 80), HTTP2: tt.h2c})
			validate(t, got)
			expect(t, []*clusterv3.Cluster{got}, `[{`+tt.want+`, type: EDS, connectTimeout: 5s, perConnectionBufferLimitBytes: 32768, circuitBreakers: {thresholds: [{maxRetries: 1024}]},
				edsClusterConfig: {serviceName: "ns/a:80", edsConfig: {ads: {}, resourceApiVersion: V3}}}]`)
		})
	}
}

func TestClusterLoadAssignment(t *testing.T) {
	t.Parallel()
	const ipv4 = `addressType: IPv4, ports: [{name: http, port: 8080}], endpoints: `
	for _, tt := range []struct {
		name   string
		slices []string
		want   string // localities, in short: "zone: [address ...]"
	}{
		{name: "none", want: `[]`},
		{
			name:   "ready unless said otherwise",
			slices: []string{ipv4 + `[{addresses: [10.0.0.2]}, {addresses: [10.0.0.1], conditions: {ready: true}}, {addresses: [10.0.0.3], conditions: {ready: false}}]`},
			want:   `[{"": [10.0.0.1:8080, 10.0.0.2:8080]}]`,
		},
		{
			name: "terminating ones don't count while another is ready",
			slices: []string{ipv4 + `[{addresses: [10.0.0.1], conditions: {ready: false, serving: true, terminating: true}},
				{addresses: [10.0.0.2], conditions: {ready: true, serving: true, terminating: false}}]`},
			want: `[{"": [10.0.0.2:8080]}]`,
		},
		{
			name: "terminating ones that serve are better than none",
			slices: []string{ipv4 + `[{addresses: [10.0.0.1], conditions: {ready: false, serving: true, terminating: true}},
				{addresses: [10.0.0.2], conditions: {ready: false, serving: false, terminating: true}},
				{addresses: [10.0.0.3], conditions: {ready: false}}]`},
			want: `[{"": [10.0.0.1:8080]}]`,
		},
		{
			name: "zones, address families and slices",
			slices: []string{
				ipv4 + `[{addresses: [10.0.0.9], zone: b}, {addresses: [10.0.0.10], zone: b}, {addresses: [10.0.0.1], zone: a}]`,
				ipv4 + `[{addresses: [10.0.0.9], zone: c}, {addresses: [10.0.0.2]}]`,
				`addressType: IPv6, ports: [{name: http, port: 8081}], endpoints: [{addresses: ["fd00::1"], zone: a}]`,
				`addressType: FQDN, ports: [{name: http, port: 8081}], endpoints: [{addresses: [a.example]}]`,
			},
			want: `[{"": [10.0.0.2:8080]}, {a: [10.0.0.1:8080, "[fd00::1]:8081"]}, {b: [10.0.0.9:8080, 10.0.0.10:8080]}]`,
		},
		{
			name: "the port is matched by name and protocol",
			slices: []string{`addressType: IPv4, endpoints: [{addresses: [10.0.0.1]}], ports: [{port: 1}, {name: other, port: 2},
				{name: http, protocol: UDP, port: 3}, {name: http, protocol: TCP, port: 4}, {name: http}]`},
			want: `[{"": [10.0.0.1:4]}]`,
		},
		{
			name:   "addresses that Envoy would refuse, and all but the first",
			slices: []string{ipv4 + `[{addresses: []}, {addresses: [x]}, {addresses: ["fe80::1%eth0"]}, {addresses: [10.0.0.1, 10.0.0.2]}]`},
			want:   `[{"": [10.0.0.1:8080]}]`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sp := &graph.BackendPortFacts{Key: service("a", 80), Port: &corev1.ServicePort{Name: "http", Port: 80}}
			for _, text := range tt.slices {
				slice := &discoveryv1.EndpointSlice{}
				parse(t, `{`+text+`}`, slice)
				sp.Slices = append(sp.Slices, slice)
			}
			got := ClusterLoadAssignment(sp)
			validate(t, got)
			if got.ClusterName != "ns/a:80" {
				t.Errorf("name %s", got.ClusterName)
			}
			expectLocalities(t, got, tt.want)
		})
	}
}

// expectLocalities compares localities with a list of maps from a zone to addresses.
func expectLocalities(t *testing.T, got *endpointv3.ClusterLoadAssignment, want string) {
	t.Helper()
	var zones []map[string][]string
	parse(t, want, &zones)
	wanted := &endpointv3.ClusterLoadAssignment{ClusterName: got.ClusterName}
	for _, z := range zones {
		for zone, addresses := range z {
			l := &endpointv3.LocalityLbEndpoints{
				Locality:            &corev3.Locality{Zone: zone},
				LoadBalancingWeight: wrapperspb.UInt32(uint32(len(addresses))),
			}
			for _, a := range addresses {
				addr := netip.MustParseAddrPort(a)
				l.LbEndpoints = append(l.LbEndpoints, &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
					Endpoint: &endpointv3.Endpoint{Address: socketAddress(addr.Addr().String(), int32(addr.Port()))},
				}})
			}
			wanted.Endpoints = append(wanted.Endpoints, l)
		}
	}
	if diff := cmp.Diff(wanted, got, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestClusterLoadAssignmentOfUnnamedPort(t *testing.T) {
	t.Parallel()
	slice := &discoveryv1.EndpointSlice{}
	parse(t, `{addressType: IPv4, ports: [{name: "", port: 8080}], endpoints: [{addresses: [10.0.0.1]}]}`, slice)
	got := ClusterLoadAssignment(&graph.BackendPortFacts{
		Key: service("a", 80), Port: &corev1.ServicePort{Port: 80}, Slices: []*discoveryv1.EndpointSlice{slice},
	})
	expectLocalities(t, got, `[{"": [10.0.0.1:8080]}]`)
}
