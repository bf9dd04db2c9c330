package translate

import (
	"slices"
	"testing"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

var clientSecret = types.NamespacedName{Namespace: "ns", Name: "client"}

func TestUpstreamTLS(t *testing.T) {
	t.Parallel()
	byName := graph.BackendTLSFacts{Hostname: "a.example", Authorities: []byte("ca")}
	bySAN := graph.BackendTLSFacts{Hostname: "a.example", System: true, SubjectAltNames: []gwv1.SubjectAltName{
		{Type: gwv1.URISubjectAltNameType, URI: "spiffe://a/b"}, {Type: gwv1.HostnameSubjectAltNameType, Hostname: "b.example"},
	}}
	const versions = `tlsParams: {tlsMinimumProtocolVersion: TLSv1_2, tlsMaximumProtocolVersion: TLSv1_3}, `
	const byNameContext = `validationContext: {trustedCa: {inlineBytes: Y2E=}, matchTypedSubjectAltNames: [{sanType: DNS, matcher: {exact: a.example}}]}`
	for _, tt := range []struct {
		name string
		tls  graph.BackendTLSFacts
		key  ClusterKey
		h2c  bool
		want string // of the CommonTlsContext
	}{
		{"a hostname", byName, ClusterKey{}, false, `alpnProtocols: [http/1.1], ` + byNameContext},
		{"gRPC", byName, ClusterKey{HTTP2: true}, false, `alpnProtocols: [h2], ` + byNameContext},
		{"h2c", byName, ClusterKey{}, true, `alpnProtocols: [h2], ` + byNameContext},
		{"a client certificate", byName, ClusterKey{ClientCertificate: clientSecret}, false, `alpnProtocols: [http/1.1],
			tlsCertificateSdsSecretConfigs: [{name: ns/client, sdsConfig: {ads: {}, resourceApiVersion: V3}}], ` + byNameContext},
		{"other names, the CAs of the system", bySAN, ClusterKey{}, false, `alpnProtocols: [http/1.1], validationContext: {
			trustedCa: {filename: /etc/ssl/certs/ca-certificates.crt},
			matchTypedSubjectAltNames: [{sanType: URI, matcher: {exact: "spiffe://a/b"}}, {sanType: DNS, matcher: {exact: b.example}}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.key.BackendKey = service("a", 443)
			got := Cluster(tt.key, &graph.BackendPortFacts{
				Key: tt.key.BackendKey, HTTP2: tt.h2c, TLS: &tt.tls,
			})
			validate(t, got)
			tls := &tlsv3.UpstreamTlsContext{}
			if err := got.TransportSocket.GetTypedConfig().UnmarshalTo(tls); err != nil {
				t.Fatal(err)
			}
			expect(t, []*tlsv3.UpstreamTlsContext{tls}, `[{sni: a.example, commonTlsContext: {`+versions+tt.want+`}}]`)
			http2 := tt.key.HTTP2 || tt.h2c
			if (len(got.TypedExtensionProtocolOptions) > 0) != http2 {
				t.Errorf("HTTP/2 %t, and the options are %v", http2, got.TypedExtensionProtocolOptions)
			}
		})
	}
}

// TestTLSBackends: a client certificate is for backends that use TLS, and makes clusters of their own.
func TestTLSBackends(t *testing.T) {
	t.Parallel()
	const spec = `rules: [{backendRefs: [{name: tls, port: 443}, {name: a, port: 80}],
		filters: [{type: RequestMirror, requestMirror: {backendRef: {name: tls, port: 8443}}}]}]`
	host := virtualHost("*", httpRoute(t, "r", spec))
	_, got := translated(t, host)
	if want := []string{"ns/a:80", "ns/tls:443", "ns/tls:8443"}; !slices.Equal(got, want) {
		t.Errorf("without a certificate: %q", got)
	}
	host.ClientCertificate = clientSecret
	_, got = translated(t, host)
	if want := []string{"ns/a:80", "ns/tls:443/client-certificate/ns/client", "ns/tls:8443/client-certificate/ns/client"}; !slices.Equal(got, want) {
		t.Errorf("with one: %q", got)
	}
	host.Routes = []*graph.RouteFacts{grpcRoute(t, "r", `rules: [{backendRefs: [{name: tls, port: 443}]}]`)}
	_, got = translated(t, host)
	if want := []string{"ns/tls:443/http2/client-certificate/ns/client"}; !slices.Equal(got, want) {
		t.Errorf("gRPC: %q", got)
	}
}

func TestSecureWebSocket(t *testing.T) {
	t.Parallel()
	got, _ := translated(t, virtualHost("*", httpRoute(t, "r", `rules: [{backendRefs: [{name: wss, port: 443}]}]`)))
	if u := got.Routes[0].GetRoute().GetUpgradeConfigs(); len(u) != 1 || u[0].UpgradeType != "websocket" {
		t.Errorf("upgrades %v", u)
	}
}

// TestMeshTLS: mesh clients connect to nothing that a BackendTLSPolicy rules.
func TestMeshTLS(t *testing.T) {
	t.Parallel()
	failing := func(name string, m *graph.MeshHostFacts, routes int) {
		config, _ := meshHost(t, m)
		_, clusters, empty := MeshListeners(m)
		if len(clusters) > 0 || len(config.VirtualHosts[0].Routes) != routes {
			t.Errorf("%s: clusters %v, routes %v", name, clusters, config.VirtualHosts[0].Routes)
		}
		for _, r := range config.VirtualHosts[0].Routes {
			if r.GetRoute().GetCluster() != empty.Cluster.GetName() {
				t.Errorf("%s: %v", name, r)
			}
		}
	}
	failing("without routes", &graph.MeshHostFacts{Key: service("tls", 443), TLS: true}, 1)
	failing("a route to it", &graph.MeshHostFacts{
		Key: service("a", 80), Routes: []*graph.RouteFacts{grpcRoute(t, "r", `rules: [{backendRefs: [{name: tls, port: 443}, {name: a, port: 80}]}]`)},
	}, 1)
	_, clusters, _ := MeshListeners(&graph.MeshHostFacts{
		Key: service("tls", 443), TLS: true, Routes: []*graph.RouteFacts{grpcRoute(t, "r", `rules: [{backendRefs: [{name: a, port: 80}]}]`)},
	})
	if want := []ClusterKey{{BackendKey: service("a", 80)}}; !slices.Equal(clusters, want) {
		t.Errorf("a route elsewhere: %v", clusters)
	}
}
