package listener

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// certificate is self-signed.
type certificate struct {
	chain, key []byte // PEM
	pool       *x509.CertPool
	pair       tls.Certificate
}

func newCertificate(t *testing.T, name string) certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name, "*." + name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := certificate{
		chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		pool:  x509.NewCertPool(),
	}
	c.pool.AppendCertsFromPEM(c.chain)
	if c.pair, err = tls.X509KeyPair(c.chain, c.key); err != nil {
		t.Fatal(err)
	}
	return c
}

func inline(data []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: data}}
}

// addSecret delivers a certificate.
func (w *world) addSecret(name string, c certificate) {
	w.t.Helper()
	if err := w.secrets.Update(&tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{
		TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: inline(c.chain), PrivateKey: inline(c.key)},
	}}); err != nil {
		w.t.Fatal(err)
	}
}

// addCA delivers the CA of clients.
func (w *world) addCA(name string, ca certificate, trust tlsv3.CertificateValidationContext_TrustChainVerification) {
	w.t.Helper()
	if err := w.secrets.Update(&tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{
		ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline(ca.chain), TrustChainVerification: trust},
	}}); err != nil {
		w.t.Fatal(err)
	}
}

func sds(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}, ResourceApiVersion: corev3.ApiVersion_V3,
	}}
}

// secured ends TLS for a filter chain. ca is the secret by which clients are validated; empty for none.
func secured(chain *listenerv3.FilterChain, cert, ca string, require bool, alpn ...string) *listenerv3.FilterChain {
	context := &tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
		AlpnProtocols: alpn, TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{sds(cert)},
	}}
	if ca != "" {
		context.RequireClientCertificate = wrapperspb.Bool(require)
		context.CommonTlsContext.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{ValidationContextSdsSecretConfig: sds(ca)}
	}
	chain.TransportSocket = &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed(context)},
	}
	return chain
}

// handshake makes a connection a TLS connection, and returns the error of it or of the first byte, because the server's refusal
// may come after the client's end of the handshake.
func handshake(t *testing.T, c net.Conn, config *tls.Config) (*client, error) {
	secured := tls.Client(c, config)
	_ = c.SetDeadline(time.Now().Add(patience))
	if err := secured.Handshake(); err != nil {
		return nil, err
	}
	out := newClient(t, secured)
	_, err := out.reader.Peek(1)
	return out, err
}

func TestTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Second)
	first, second := newCertificate(t, "first.example"), newCertificate(t, "second.example")
	w.addSecret("first", first)
	w.addSecret("second", second)
	backend := newCertificate(t, "through.example")
	w.addCluster(staticCluster("through", tlsEcho(t, backend)))
	w.addCluster(staticCluster("ended", echo(t, "ended")))

	config := listenerAt("127.0.0.1:0",
		of(secured(httpChain("https"), "first", "", false, "h2", "http/1.1"), tlsFor("*.first.example")),
		of(secured(tcpChain("ended"), "second", "", false), tlsFor("second.example")),
		of(tcpChain("through"), tlsFor("through.example")),
		httpChain("plain"),
	)
	config.ListenerFilters = inspector()
	l := w.start(config)
	at := l.Addrs()[0]
	if names := l.SecretNames(); len(names) != 2 || names[0] != "first" || names[1] != "second" {
		t.Errorf("it waits for the secrets %q", names)
	}
	if names := l.RouteNames(); len(names) != 2 || names[0] != "https" || names[1] != "plain" {
		t.Errorf("it waits for the routes %q", names)
	}
	for name, tt := range map[string]struct {
		serverName string
		cert       certificate
		alpn       []string
		want       string
	}{
		"to HTTP":              {"www.first.example", first, []string{"http/1.1"}, "https: TLS www.first.example http/1.1  to " + at.String()},
		"to HTTP/2":            {"www.first.example", first, []string{"h2", "http/1.1"}, "https: TLS www.first.example h2  to " + at.String()},
		"to a cluster":         {"second.example", second, nil, "ended"},
		"through to a cluster": {"through.example", backend, nil, "behind TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := handshake(t, dial(t, at), &tls.Config{ServerName: tt.serverName, RootCAs: tt.cert.pool, NextProtos: tt.alpn})
			if err != nil {
				t.Fatal(err)
			}
			if got := c.line(); got != tt.want {
				t.Errorf("it says %q, want %q", got, tt.want)
			}
			if !c.echoes("hello") {
				t.Error("it doesn't forward")
			}
		})
	}
	t.Run("plaintext", func(t *testing.T) {
		t.Parallel()
		c := dial(t, at)
		if _, err := c.Write([]byte("GET / HTTP/1.1\n")); err != nil {
			t.Fatal(err)
		}
		if got, first := c.line(), c.line(); got != "plain: plaintext  to "+at.String() || first != "GET / HTTP/1.1" {
			t.Errorf("it says %q and echoes %q", got, first)
		}
	})
	t.Run("unknown name", func(t *testing.T) {
		t.Parallel()
		config := &tls.Config{ServerName: "other.example", RootCAs: first.pool}
		if c, err := handshake(t, dial(t, at), config); err == nil {
			t.Errorf("it says %q, want it to be taken for plaintext", c.line())
		}
	})
}

// tlsEcho is a server like echo, behind TLS.
func tlsEcho(t *testing.T, c certificate) netip.AddrPort {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{c.pair}})
	if err != nil {
		t.Fatal(err)
	}
	serveEcho(t, l, "behind TLS")
	return unmap(l.Addr().(*net.TCPAddr).AddrPort())
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Second)
	server, ca, other := newCertificate(t, "www.example"), newCertificate(t, "ca.example"), newCertificate(t, "other.example")
	w.addSecret("server", server)
	w.addCA("strict", ca, tlsv3.CertificateValidationContext_VERIFY_TRUST_CHAIN)
	w.addCA("lenient", ca, tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED)
	strict := listenerAt("127.0.0.1:0", secured(httpChain("strict"), "server", "strict", true))
	lenient := listenerAt("127.0.0.1:0", secured(httpChain("lenient"), "server", "lenient", false))
	lenient.Name = "lenient"
	strictAt, lenientAt := w.start(strict).Addrs()[0], w.start(lenient).Addrs()[0]
	for name, tt := range map[string]struct {
		at   netip.AddrPort
		cert *certificate
		want string // the client's name, or an error if it is "refused"
	}{
		"valid":              {strictAt, &ca, "ca.example"},
		"invalid":            {strictAt, &other, "refused"},
		"none":               {strictAt, nil, "refused"},
		"valid, may be not":  {lenientAt, &ca, "ca.example"},
		"invalid, which may": {lenientAt, &other, "other.example"},
		"none, which may":    {lenientAt, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := &tls.Config{ServerName: "www.example", RootCAs: server.pool}
			if tt.cert != nil {
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tt.cert.pair, nil }
			}
			c, err := handshake(t, dial(t, tt.at), config)
			if refused := err != nil; refused != (tt.want == "refused") {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				return
			}
			if got, want := c.line(), "TLS www.example  "+tt.want+" to "; !strings.Contains(got, want) {
				t.Errorf("it says %q, want %q", got, want)
			}
		})
	}
}

func TestHandshakeTimeout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Second)
	w.addSecret("server", newCertificate(t, "www.example"))
	chain := secured(httpChain("https"), "server", "", false)
	chain.TransportSocketConnectTimeout = durationpb.New(20 * time.Millisecond)
	if !dial(t, w.start(listenerAt("127.0.0.1:0", chain)).Addrs()[0]).isClosed() {
		t.Error("a connection without a handshake stays open")
	}
}
