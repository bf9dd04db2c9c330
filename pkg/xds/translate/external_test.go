package translate

import (
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

func external(name string, port int32) graph.BackendKey {
	return graph.BackendKey{Key: graph.Key{Kind: graph.KindBackend, Namespace: "ns", Name: name}, Port: port}
}

func TestExternalCluster(t *testing.T) {
	t.Parallel()
	const (
		from = `clusterType: {name: envoy.cluster.dns, typedConfig: {
			"@type": type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster, respectDnsTtl: true, dnsLookupFamily: V4_PREFERRED}},
			connectTimeout: 5s, perConnectionBufferLimitBytes: 32768, loadAssignment: {`
		endpoint = `endpoints: [{lbEndpoints: [{endpoint: {hostname: b.example, address: {socketAddress: {address: b.example., portValue: 443}}}}]}]}`
	)
	for _, tt := range []struct {
		name string
		key  ClusterKey
		want string
	}{
		{"requests", ClusterKey{}, `name: "xbackend/ns/b:443", ` + from + `clusterName: "xbackend/ns/b:443", ` + endpoint + `, circuitBreakers: {thresholds: [{maxRetries: 1024}]}`},
		{"streams", ClusterKey{Stream: true}, `name: "xbackend/ns/b:443/stream", ` + from + `clusterName: "xbackend/ns/b:443/stream", ` + endpoint +
			`, circuitBreakers: {thresholds: [{maxConnections: 65536}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.key.BackendKey = external("b", 443)
			port := &graph.BackendPortFacts{Key: tt.key.BackendKey, Hostname: "b.example"}
			got := Cluster(tt.key, port)
			validate(t, got)
			expect(t, []*clusterv3.Cluster{got}, `[{`+tt.want+`}]`)
			if endpoints := ClusterLoadAssignment(port); endpoints != nil {
				t.Errorf("Envoy finds the endpoints itself, and is told %v", endpoints)
			}
		})
	}
}

// TestExternalTLS has what is negotiated and shown for each kind of cluster.
func TestExternalTLS(t *testing.T) {
	t.Parallel()
	certificate := &graph.CertificateFacts{Secret: clientSecret, Chain: []byte("chain"), Key: []byte("key")}
	for _, tt := range []struct {
		name     string
		key      ClusterKey
		protocol gwxv1alpha1.BackendProtocol
		http2    bool
		shown    *graph.CertificateFacts
		want     []string // ALPN
	}{
		{"requests", ClusterKey{}, "", false, nil, []string{"http/1.1"}},
		{"gRPC", ClusterKey{HTTP2: true}, "", false, nil, []string{"h2"}},
		{"HTTP/2", ClusterKey{}, gwxv1alpha1.BackendProtocolHTTP2, true, certificate, []string{"h2"}},
		{"stream", ClusterKey{Stream: true}, "", false, certificate, nil},
		{"stream of TCP", ClusterKey{Stream: true}, gwxv1alpha1.BackendProtocolTCP, false, nil, nil},
		{"stream of HTTP", ClusterKey{Stream: true}, gwxv1alpha1.BackendProtocolHTTP, false, nil, []string{"http/1.1"}},
		{"stream of HTTP/2", ClusterKey{Stream: true}, gwxv1alpha1.BackendProtocolHTTP2, true, nil, []string{"h2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.key.BackendKey = external("b", 443)
			port := &graph.BackendPortFacts{
				Key: tt.key.BackendKey, Hostname: "b.example", Protocol: tt.protocol, HTTP2: tt.http2,
				TLS: &graph.BackendTLSFacts{Hostname: "sni.example", System: true, ClientCertificate: tt.shown},
			}
			got := Cluster(tt.key, port)
			validate(t, got)
			tls := &tlsv3.UpstreamTlsContext{}
			if err := got.TransportSocket.GetTypedConfig().UnmarshalTo(tls); err != nil {
				t.Fatal(err)
			}
			secret := BackendSecret(port)
			var shown string
			for _, c := range tls.CommonTlsContext.TlsCertificateSdsSecretConfigs {
				shown = c.Name
			}
			if (tt.shown != nil) != (shown == "xbackend/ns/b:443/client-certificate") || shown != secret.GetName() {
				t.Errorf("shows %q, of which the secret is %v", shown, secret)
			}
			if tls.Sni != "sni.example" {
				t.Errorf("asks for %s", tls.Sni)
			}
			if len(tls.CommonTlsContext.AlpnProtocols) != len(tt.want) || len(tt.want) > 0 && tls.CommonTlsContext.AlpnProtocols[0] != tt.want[0] {
				t.Errorf("negotiates %q, want %q", tls.CommonTlsContext.AlpnProtocols, tt.want)
			}
		})
	}
}

// TestExternalConnector: the client certificate of the Gateway is none of an XBackend's.
func TestExternalConnector(t *testing.T) {
	t.Parallel()
	by := connector{clientCertificate: clientSecret}
	if got := by.cluster(&graph.BackendFacts{Backend: external("b", 443), TLS: true}).String(); got != "xbackend/ns/b:443" {
		t.Error(got)
	}
	by.grpc = true
	if got := by.cluster(&graph.BackendFacts{Backend: external("b", 443)}).String(); got != "xbackend/ns/b:443/http2" {
		t.Error(got)
	}
	if got := by.cluster(&graph.BackendFacts{Backend: external("b", 443), HTTP2: true}).String(); got != "xbackend/ns/b:443" {
		t.Error(got)
	}
}
