package upstream

import (
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
)

// serveTLS runs a backend that speaks HTTP/1.1 and HTTP/2 over TLS, with a certificate for example.com.
func serveTLS(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// withTLS returns a copy of the cluster that connects with TLS, to a backend that is verified by a name.
func withTLS(t *testing.T, c *clusterv3.Cluster, authority *x509.Certificate, name string) *clusterv3.Cluster {
	t.Helper()
	c = proto.CloneOf(c)
	alpn := "http/1.1"
	if c.GetTypedExtensionProtocolOptions() != nil {
		alpn = "h2"
	}
	validation := &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
		SanType: tlsv3.SubjectAltNameMatcher_DNS,
		Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: name}},
	}}}
	validation.TrustedCa = &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{
		InlineBytes: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw}),
	}}
	c.TransportSocket = &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed(t, &tlsv3.UpstreamTlsContext{
			Sni: "sni.example",
			CommonTlsContext: &tlsv3.CommonTlsContext{
				AlpnProtocols:         []string{alpn},
				ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: validation},
			},
		})},
	}
	return c
}
