package secret

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

func san(kind tlsv3.SubjectAltNameMatcher_SanType, name string) *tlsv3.SubjectAltNameMatcher {
	return &tlsv3.SubjectAltNameMatcher{
		SanType: kind, Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: name}},
	}
}

// upstreamContext trusts an authority.
func upstreamContext(ca *authority, sans ...*tlsv3.SubjectAltNameMatcher) *tlsv3.UpstreamTlsContext {
	return &tlsv3.UpstreamTlsContext{
		Sni: "sni.example",
		CommonTlsContext: &tlsv3.CommonTlsContext{ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{
			ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline(ca.pem()), MatchTypedSubjectAltNames: sans},
		}},
	}
}

func TestServerValidation(t *testing.T) {
	t.Parallel()
	const dns, uri = tlsv3.SubjectAltNameMatcher_DNS, tlsv3.SubjectAltNameMatcher_URI
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	clientOnly := named("a.example")
	clientOnly.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for name, tt := range map[string]struct {
		server tls.Certificate
		sans   []*tlsv3.SubjectAltNameMatcher
		fails  bool
	}{
		"the name":                    {ca.pair(t, named("a.example")), []*tlsv3.SubjectAltNameMatcher{san(dns, "a.example")}, false},
		"another name":                {ca.pair(t, named("b.example")), []*tlsv3.SubjectAltNameMatcher{san(dns, "a.example")}, true},
		"the server name isn't one":   {ca.pair(t, named("sni.example")), []*tlsv3.SubjectAltNameMatcher{san(dns, "a.example")}, true},
		"a wildcard":                  {ca.pair(t, named("*.example")), []*tlsv3.SubjectAltNameMatcher{san(dns, "a.example")}, false},
		"one of two":                  {ca.pair(t, named("a.example")), []*tlsv3.SubjectAltNameMatcher{san(dns, "b.example"), san(dns, "a.example")}, false},
		"a URI":                       {ca.pair(t, withURI(t, "spiffe://a/b")), []*tlsv3.SubjectAltNameMatcher{san(uri, "spiffe://a/b")}, false},
		"another URI":                 {ca.pair(t, withURI(t, "spiffe://a/c")), []*tlsv3.SubjectAltNameMatcher{san(uri, "spiffe://a/b")}, true},
		"a URI is no DNS name":        {ca.pair(t, withURI(t, "spiffe://a/b")), []*tlsv3.SubjectAltNameMatcher{san(dns, "spiffe://a/b")}, true},
		"any name":                    {ca.pair(t, named("b.example")), nil, false},
		"of a stranger":               {other.pair(t, named("a.example")), []*tlsv3.SubjectAltNameMatcher{san(dns, "a.example")}, true},
		"of a stranger, and any name": {other.pair(t, named("a.example")), nil, true},
		"not for servers":             {ca.pair(t, clientOnly), nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, _, err := UpstreamConfig(upstreamContext(ca, tt.sans...), NewStore())
			if err != nil {
				t.Fatal(err)
			}
			var asked string
			server := &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				asked = hello.ServerName
				return &tt.server, nil
			}}
			if _, err, _ := handshake(t, config, server); (err != nil) != tt.fails {
				t.Errorf("the handshake ended with %v", err)
			}
			if asked != "sni.example" {
				t.Errorf("the server was asked for %q", asked)
			}
		})
	}
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	ca, store := newAuthority(t, "ca"), NewStore()
	context := upstreamContext(ca)
	context.CommonTlsContext.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{sds("client")}
	context.CommonTlsContext.AlpnProtocols = []string{"h2"}
	config, names, err := UpstreamConfig(context, store)
	if err != nil || len(names) != 1 || names[0] != "client" {
		t.Fatal(names, err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(ca.certificate)
	asking := &tls.Config{
		Certificates: []tls.Certificate{ca.pair(t, named("a.example"))},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: clients, NextProtos: []string{"h2"},
	}
	notAsking := &tls.Config{Certificates: asking.Certificates}
	for name, server := range map[string]*tls.Config{"asking": asking, "not asking": notAsking} {
		if _, err, _ := handshake(t, config, server); err == nil {
			t.Errorf("%s: a handshake without the certificate, which isn't there yet", name)
		}
	}
	update(t, store, ca.secret(t, "client", newECDSA(t), named("client")))
	for name, server := range map[string]*tls.Config{"asking": asking, "not asking": notAsking} {
		if _, err, serverErr := handshake(t, config, server); err != nil || serverErr != nil {
			t.Errorf("%s: %v, %v", name, err, serverErr)
		}
	}
}

func TestUpstreamVersions(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "ca")
	server := &tls.Config{Certificates: []tls.Certificate{ca.pair(t, named("a.example"))}}
	for maximum, want := range map[tlsv3.TlsParameters_TlsProtocol]uint16{
		tlsv3.TlsParameters_TLS_AUTO: tls.VersionTLS12, // Envoy's default towards servers
		tlsv3.TlsParameters_TLSv1_3:  tls.VersionTLS13,
	} {
		context := upstreamContext(ca)
		context.CommonTlsContext.TlsParams = &tlsv3.TlsParameters{TlsMaximumProtocolVersion: maximum}
		config, _, err := UpstreamConfig(context, NewStore())
		if err != nil {
			t.Fatal(err)
		}
		if state, err, _ := handshake(t, config, server); err != nil || state.Version != want {
			t.Errorf("%s: version %x (%v), want %x", maximum, state.Version, err, want)
		}
	}
}

func TestCAsInAFile(t *testing.T) {
	t.Parallel()
	ca, file := newAuthority(t, "ca"), filepath.Join(t.TempDir(), "ca.crt")
	context := upstreamContext(ca)
	context.CommonTlsContext.GetValidationContext().TrustedCa = &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: file}}
	if _, _, err := UpstreamConfig(context, NewStore()); err == nil {
		t.Error("a file that isn't there was accepted")
	}
	if err := os.WriteFile(file, ca.pem(), 0o600); err != nil {
		t.Fatal(err)
	}
	config, _, err := UpstreamConfig(context, NewStore())
	if err != nil {
		t.Fatal(err)
	}
	if _, err, _ := handshake(t, config, &tls.Config{Certificates: []tls.Certificate{ca.pair(t, named("a.example"))}}); err != nil {
		t.Error(err)
	}
}

func TestDNSNameMatches(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, pattern string
		want          bool
	}{
		{"a.example.com", "a.example.com", true},
		{"A.example.com", "a.EXAMPLE.com", true},
		{"a.example.com", "*.example.com", true},
		{"example.com", "*.example.com", false},
		{"b.a.example.com", "*.example.com", false},
		{"ab.example.com", "a*.example.com", true},
		{"ab.example.com", "*b.example.com", true},
		{"aXb.example.com", "a*b.example.com", true},
		{"ab.example.com", "a*b.example.com", true},
		{"a.example.com", "a*a.example.com", false},
		{"ab.example.com", "**.example.com", false},
		{"xn--ab.example.com", "xn--*.example.com", false},
		{"a.b.com", "*.*.com", false},
		{"localhost", "*", false},
		{"localhost", "localhost", true},
		{"*.example.com", "*.example.com", true},
	} {
		if got := dnsNameMatches(tt.name, tt.pattern); got != tt.want {
			t.Errorf("%s of a certificate for %s: %t", tt.name, tt.pattern, got)
		}
	}
}
