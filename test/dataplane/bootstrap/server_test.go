package bootstrap

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/protobuf/proto"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
	rendered "github.com/gateway-apiserver/gateway-apiserver/pkg/xds/bootstrap"
)

// authority is a CA with files for both ends of a connection.
type authority struct {
	ca    *pki.CA
	files rendered.TLS
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	ca, err := pki.NewCA(pkix.Name{CommonName: t.Name()}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := ca.IssueClient("envoy")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	a := &authority{ca, rendered.TLS{CA: filepath.Join(dir, "ca.crt"), Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}}
	for path, data := range map[string][]byte{a.files.CA: ca.PEM(), a.files.Cert: certificate, a.files.Key: key} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// serve serves gRPC's health service on loopback, for clients that show a certificate.
func (a *authority) serve(t *testing.T, names []string, ips []net.IP) (port uint16) {
	t.Helper()
	return a.serveWith(t, names, ips, tls.RequireAndVerifyClientCert)
}

// serveWith serves gRPC's health service on loopback, for clients of whom the server asks that.
func (a *authority) serveWith(t *testing.T, names []string, ips []net.IP, ask tls.ClientAuthType, options ...grpc.ServerOption) (port uint16) {
	t.Helper()
	certificate, key, err := a.ca.IssueServer("server", names, ips)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(a.ca.Certificate())
	s := grpc.NewServer(append(options, grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: ask, ClientCAs: clients,
	})))...)
	healthpb.RegisterHealthServer(s, health.NewServer())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func TestConnect(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	loopback := net.IPv4(127, 0, 0, 1)
	for name, test := range map[string]struct {
		host, want string
		names      []string
		ips        []net.IP
		files      rendered.TLS
	}{
		"by name":         {host: "localhost", names: []string{"localhost"}, files: a.files},
		"by address":      {host: "127.0.0.1", ips: []net.IP{loopback}, files: a.files},
		"of another name": {host: "localhost", names: []string{"example.com"}, ips: []net.IP{loopback}, files: a.files, want: "not localhost"},
		"of another address": {
			host: "127.0.0.1", names: []string{"localhost"}, ips: []net.IP{net.IPv4(127, 0, 0, 2)}, files: a.files, want: "not 127.0.0.1",
		},
		"without a certificate": {host: "localhost", names: []string{"localhost"}, files: rendered.TLS{CA: a.files.CA}, want: "Unavailable"},
		"of another CA": {
			host: "localhost", names: []string{"localhost"}, files: rendered.TLS{CA: newAuthority(t).files.CA}, want: "unknown authority",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options()
			o.Server, o.TLS = rendered.Address{Host: test.host, Port: a.serve(t, test.names, test.ips)}, &test.files
			config, err := New(render(t, o), Identity{})
			if err != nil {
				t.Fatal(err)
			}
			conn, err := config.Server.Connect()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			_, err = healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestRefusedTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	validation := func(c *tlsv3.UpstreamTlsContext) *tlsv3.CertificateValidationContext {
		return c.GetCommonTlsContext().GetValidationContext()
	}
	file := func(path string) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}}
	}
	for name, test := range map[string]struct {
		change func(*tlsv3.UpstreamTlsContext)
		want   string
	}{
		"another SNI":      {func(c *tlsv3.UpstreamTlsContext) { c.Sni = "other" }, `sni: "other" isn't the server's DNS name`},
		"any name":         {func(c *tlsv3.UpstreamTlsContext) { validation(c).MatchTypedSubjectAltNames = nil }, "match_typed_subject_alt_names: exactly one"},
		"no verification":  {func(c *tlsv3.UpstreamTlsContext) { c.GetCommonTlsContext().ValidationContextType = nil }, "match_typed_subject_alt_names: exactly one"},
		"no CAs":           {func(c *tlsv3.UpstreamTlsContext) { validation(c).TrustedCa = file(a.files.Key) }, "trusted_ca: no certificates"},
		"no such CAs":      {func(c *tlsv3.UpstreamTlsContext) { validation(c).TrustedCa = file("/none") }, "trusted_ca: open /none"},
		"another protocol": {func(c *tlsv3.UpstreamTlsContext) { c.GetCommonTlsContext().AlpnProtocols = []string{"http/1.1"} }, "alpn_protocols"},
		"Envoy's own maximum, TLS 1.2": {func(c *tlsv3.UpstreamTlsContext) {
			c.GetCommonTlsContext().GetTlsParams().TlsMaximumProtocolVersion = 0
		}, "tls_params"},
		"an older version": {func(c *tlsv3.UpstreamTlsContext) { c.GetCommonTlsContext().TlsParams = nil }, "tls_params"},
		"no key": {func(c *tlsv3.UpstreamTlsContext) {
			c.GetCommonTlsContext().TlsCertificates[0].PrivateKey = file(a.files.CA)
		}, "tls_certificates"},
		"another field": {func(c *tlsv3.UpstreamTlsContext) { c.AllowRenegotiation = true }, "allow_renegotiation: not executed"},
		"inline CAs": {func(c *tlsv3.UpstreamTlsContext) {
			validation(c).TrustedCa = &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: a.ca.PEM()}}
		}, "inline_bytes: not executed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options()
			o.TLS = &a.files
			b := render(t, o)
			change := func(b *bootstrapv3.Bootstrap) {
				repack(t, b.GetStaticResources().GetClusters()[0].GetTransportSocket().GetTypedConfig(), test.change)
			}
			if _, err := New(proto.CloneOf(b), Identity{}); err != nil {
				t.Fatalf("refused as it is rendered: %v", err)
			}
			change(b)
			if _, err := New(b, Identity{}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}
