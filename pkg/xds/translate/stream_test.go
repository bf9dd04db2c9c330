package translate

import (
	"slices"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/testing/protocmp"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// stream returns the facts of a stream of a listener of ns/gw, which a route with the given backends governs; of none
// without any. See ruleFacts for what the names of backends mean.
func stream(t *testing.T, listener, domain string, backendRefs ...string) graph.StreamFacts {
	t.Helper()
	f := graph.StreamFacts{Key: graph.StreamKey{
		Listener: graph.ListenerKey{Parent: gateway, Name: gwv1.SectionName(listener)}, Domain: domain,
	}}
	if len(backendRefs) == 0 {
		return f
	}
	refs := make([]gwv1.HTTPBackendRef, len(backendRefs))
	for i, text := range backendRefs {
		parse(t, text, &refs[i])
	}
	unreached := ruleFacts(nil, []gwv1.HTTPBackendRef{{BackendRef: gwv1.BackendRef{BackendObjectReference: gwv1.BackendObjectReference{Name: "unreached"}}}}, nil)
	second := &graph.RouteFacts{Rules: []graph.RuleFacts{unreached}}
	f.Routes = []*graph.RouteFacts{
		{Key: graph.Key{Kind: graph.KindUDPRoute, Namespace: "ns", Name: "r"}, Rules: []graph.RuleFacts{ruleFacts(nil, refs, nil), unreached}},
		second,
	}
	return f
}

// passthrough returns the facts of a TLS listener that passes connections on.
func passthrough(name string, port int32, hostname string) *graph.ListenerFacts {
	l := listener(name, "TLS", port, hostname)
	l.Spec.TLS = &gwv1.ListenerTLSConfig{Mode: new(gwv1.TLSModePassthrough)}
	return l
}

func TestStreams(t *testing.T) {
	t.Parallel()
	const proxy = `filters: [{name: envoy.filters.network.tcp_proxy, typedConfig: {
		"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy,
		statPrefix: "ns/gw:443", idleTimeout: 3600s, `
	const tls = `filterChainMatch: {transportProtocol: tls`
	for _, tt := range []struct {
		name     string
		listener *graph.ListenerFacts
		streams  []graph.StreamFacts
		want     string // the filter chains, without transport sockets
		tls      bool   // terminated
		clusters []string
	}{
		{
			name: "one backend", listener: listener("l", "TCP", 443, ""), streams: []graph.StreamFacts{stream(t, "l", "", `{name: a}`)},
			want: `[{name: l, ` + proxy + `cluster: "ns/a:80/stream"}}]}]`, clusters: []string{"ns/a:80/stream"},
		},
		{
			name: "weights", listener: listener("l", "TCP", 443, ""),
			streams:  []graph.StreamFacts{stream(t, "l", "", `{name: a, weight: 7}`, `{name: none, weight: 0}`, `{name: b, weight: 3}`)},
			want:     `[{name: l, ` + proxy + `weightedClusters: {clusters: [{name: "ns/a:80/stream", weight: 7}, {name: "ns/b:80/stream", weight: 3}]}}}]}]`,
			clusters: []string{"ns/a:80/stream", "ns/b:80/stream"},
		},
		{
			name: "the share of invalid backends", listener: listener("l", "TCP", 443, ""),
			streams:  []graph.StreamFacts{stream(t, "l", "", `{name: missing, weight: 3}`, `{name: a, weight: 2}`, `{name: missing, weight: 5}`)},
			want:     `[{name: l, ` + proxy + `weightedClusters: {clusters: [{name: "ns/a:80/stream", weight: 2}, {name: unresolved-backend, weight: 8}]}}}]}]`,
			clusters: []string{"ns/a:80/stream"},
		},
		{
			name: "an invalid backend", listener: listener("l", "TCP", 443, ""), streams: []graph.StreamFacts{stream(t, "l", "", `{name: missing}`)},
			want: `[{name: l}]`,
		},
		{
			name: "no weight", listener: listener("l", "TCP", 443, ""), streams: []graph.StreamFacts{stream(t, "l", "", `{name: a, weight: 0}`)},
			want: `[{name: l}]`,
		},
		{
			name: "no route", listener: listener("l", "TCP", 443, ""), streams: []graph.StreamFacts{stream(t, "l", "")},
			want: `[{name: l}]`,
		},
		{
			name: "an appProtocol makes no difference", listener: listener("l", "TCP", 443, ""), streams: []graph.StreamFacts{stream(t, "l", "", `{name: h2c}`)},
			want: `[{name: l, ` + proxy + `cluster: "ns/h2c:80/stream"}}]}]`, clusters: []string{"ns/h2c:80/stream"},
		},
		{
			name: "TLS to the backend", listener: listener("l", "TCP", 443, ""), streams: []graph.StreamFacts{stream(t, "l", "", `{name: tls}`)},
			want:     `[{name: l, ` + proxy + `cluster: "ns/tls:80/stream/client-certificate/ns/client"}}]}]`,
			clusters: []string{"ns/tls:80/stream/client-certificate/ns/client"},
		},
		{
			name: "by server name", listener: listener("l", "TLS", 443, "*.example", "s"), tls: true,
			streams: []graph.StreamFacts{stream(t, "l", "*.example"), stream(t, "l", "a.example", `{name: a}`), stream(t, "l", "b.example", `{name: tls}`)},
			want: `[{name: l/*.example, ` + tls + `, serverNames: ["*.example"]}},
				{name: l/a.example, ` + tls + `, serverNames: [a.example]}, ` + proxy + `cluster: "ns/a:80/stream"}}]},
				{name: l/b.example, ` + tls + `, serverNames: [b.example]}, ` + proxy + `cluster: "ns/tls:80/stream/client-certificate/ns/client"}}]}]`,
			clusters: []string{"ns/a:80/stream", "ns/tls:80/stream/client-certificate/ns/client"},
		},
		{
			name: "any server name, or none", listener: listener("l", "TLS", 443, "", "s"), tls: true,
			streams: []graph.StreamFacts{stream(t, "l", "*", `{name: a}`)},
			want:    `[{name: l/*, ` + tls + `}, ` + proxy + `cluster: "ns/a:80/stream"}}]}]`, clusters: []string{"ns/a:80/stream"},
		},
		{
			name: "passed through, whatever the policy of a backend is", listener: passthrough("l", 443, "a.example"),
			streams: []graph.StreamFacts{stream(t, "l", "a.example", `{name: a}`, `{name: tls}`)},
			want: `[{name: l/a.example, ` + tls + `, serverNames: [a.example]}, ` + proxy + `weightedClusters: {clusters: [
				{name: "ns/a:80/stream", weight: 1}, {name: "ns/tls:80/passthrough", weight: 1}]}}}]}]`,
			clusters: []string{"ns/a:80/stream", "ns/tls:80/passthrough"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			gw := gatewayFacts(tt.listener)
			gw.ClientCertificate = &graph.CertificateFacts{Secret: types.NamespacedName{Namespace: "ns", Name: "client"}}
			scope := scopeOf(gw)
			scope.Streams = tt.streams
			got, keys := Listeners(scope)
			if len(got) != 1 {
				t.Fatalf("%d listeners", len(got))
			}
			validate(t, got[0])
			expect(t, got[0].FilterChains, tt.want, protocmp.IgnoreFields(&listenerv3.FilterChain{}, "transport_socket"))
			for _, chain := range got[0].FilterChains {
				if (chain.TransportSocket != nil) != tt.tls {
					t.Errorf("%s: transport socket %v", chain.Name, chain.TransportSocket)
				}
			}
			if inspects := len(got[0].ListenerFilters) == 1; inspects != (tt.listener.Spec.Protocol == gwv1.TLSProtocolType) {
				t.Errorf("listener filters %v", got[0].ListenerFilters)
			}
			var clusters []string
			for _, key := range keys {
				clusters = append(clusters, key.String())
			}
			if !slices.Equal(clusters, tt.clusters) {
				t.Errorf("clusters %q, want %q", clusters, tt.clusters)
			}
		})
	}
}

// TestPortBehindTLS: HTTPS and TLS listeners of a port are filter chains of one Envoy listener, each with a match of its own.
func TestPortBehindTLS(t *testing.T) {
	t.Parallel()
	scope := scopeOf(gatewayFacts(
		listener("https", "HTTPS", 443, "a.example", "s"),
		passthrough("pass", 443, "b.example"),
		listener("terminate", "TLS", 443, "", "s"),
		listener("dns", "UDP", 443, "")))
	scope.Streams = []graph.StreamFacts{
		stream(t, "pass", "b.example", `{name: b}`), stream(t, "terminate", "*"), stream(t, "terminate", "c.example", `{name: c}`), stream(t, "dns", ""),
	}
	got, _ := Listeners(scope)
	for _, l := range got {
		validate(t, l)
	}
	expect(t, got, `[
		{name: "ns/gw:443", filterChains: [
			{name: https, filterChainMatch: {transportProtocol: tls, serverNames: [a.example]}},
			{name: pass/b.example, filterChainMatch: {transportProtocol: tls, serverNames: [b.example]}},
			{name: terminate/*, filterChainMatch: {transportProtocol: tls}},
			{name: terminate/c.example, filterChainMatch: {transportProtocol: tls, serverNames: [c.example]}}]},
		{name: "ns/gw:443/udp"}]`,
		protocmp.IgnoreFields(&listenerv3.Listener{}, "address", "per_connection_buffer_limit_bytes", "listener_filters"),
		protocmp.IgnoreFields(&listenerv3.FilterChain{}, "filters", "transport_socket"))
}

// TestStreamCluster: a port's protocol is for those who know what they send.
func TestStreamCluster(t *testing.T) {
	t.Parallel()
	udp := service("a", 80)
	udp.UDP = true
	tls := &graph.BackendTLSFacts{Hostname: "a.example", System: true}
	const socket = `, transportSocket: {name: envoy.transport_sockets.tls, typedConfig: {
		"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, sni: a.example, commonTlsContext: {
			tlsParams: {tlsMinimumProtocolVersion: TLSv1_2, tlsMaximumProtocolVersion: TLSv1_3},
			validationContext: {trustedCa: {filename: /etc/ssl/certs/ca-certificates.crt},
				matchTypedSubjectAltNames: [{sanType: DNS, matcher: {exact: a.example}}]}}}}`
	for _, tt := range []struct {
		name  string
		key   ClusterKey
		facts graph.BackendPortFacts
		want  string
	}{
		{"stream", ClusterKey{BackendKey: service("a", 80), Stream: true}, graph.BackendPortFacts{HTTP2: true},
			`name: "ns/a:80/stream", edsClusterConfig: {serviceName: "ns/a:80"`},
		{"stream in TLS", ClusterKey{BackendKey: service("a", 80), Stream: true}, graph.BackendPortFacts{HTTP2: true, TLS: tls},
			`name: "ns/a:80/stream"` + socket + `, edsClusterConfig: {serviceName: "ns/a:80"`},
		{"passthrough", ClusterKey{BackendKey: service("a", 80), Stream: true, Passthrough: true}, graph.BackendPortFacts{HTTP2: true, TLS: tls},
			`name: "ns/a:80/passthrough", edsClusterConfig: {serviceName: "ns/a:80"`},
		{"packets", ClusterKey{BackendKey: udp}, graph.BackendPortFacts{HTTP2: true},
			`name: "ns/a:80/udp", edsClusterConfig: {serviceName: "ns/a:80/udp"`},
		{"packets for several", ClusterKey{BackendKey: graph.UDPRouteBackend(graph.Key{Kind: graph.KindUDPRoute, Namespace: "ns", Name: "r"})},
			graph.BackendPortFacts{Shares: []graph.ShareFacts{}}, `name: "udproute/ns/r", edsClusterConfig: {serviceName: "udproute/ns/r"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := Cluster(tt.key, &tt.facts)
			validate(t, got)
			expect(t, []*clusterv3.Cluster{got}, `[{`+tt.want+`, edsConfig: {ads: {}, resourceApiVersion: V3}}, type: EDS, connectTimeout: 5s,
				perConnectionBufferLimitBytes: 32768, circuitBreakers: {thresholds: [{maxConnections: 65536}]}}]`)
		})
	}
}
