package lint

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
)

// selfSigned returns a certificate and its key in PEM.
func selfSigned(t *testing.T, key crypto.Signer) (chain, private *corev3.DataSource) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	encoded := func(kind string, der []byte) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})}}
	}
	return encoded("CERTIFICATE", der), encoded("PRIVATE KEY", keyDER)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ecdsaKey := func() crypto.Signer {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	chain, key := selfSigned(t, ecdsaKey())
	_, otherKey := selfSigned(t, ecdsaKey())
	smallChain, smallKey := selfSigned(t, small)
	pair := func(chain, key *corev3.DataSource) proto.Message {
		return &tlsv3.Secret{Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: chain, PrivateKey: key}}}
	}
	validation := func(v *tlsv3.CertificateValidationContext) proto.Message {
		return &tlsv3.Secret{Type: &tlsv3.Secret_ValidationContext{ValidationContext: v}}
	}
	names := []*tlsv3.SubjectAltNameMatcher{{SanType: tlsv3.SubjectAltNameMatcher_DNS, Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: "a.test"}}}}
	for name, test := range map[string]struct {
		message proto.Message
		want    []string
	}{
		"certificate and key": {pair(chain, key), []string{}},
		"another key":         {pair(chain, otherKey), []string{"invalid: .tls_certificate: tls: private key does not match public key"}},
		"no certificate":      {pair(key, key), []string{"invalid: .tls_certificate: tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched"}},
		"a small key":         {pair(smallChain, smallKey), []string{"invalid: .tls_certificate: the RSA key has 1024 bits, fewer than 2048"}},
		"files":               {pair(&corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: "a"}}, key), []string{}},

		"CA":          {validation(&tlsv3.CertificateValidationContext{TrustedCa: chain, MatchTypedSubjectAltNames: names}), []string{}},
		"system's CA": {validation(&tlsv3.CertificateValidationContext{SystemRootCerts: &tlsv3.CertificateValidationContext_SystemRootCerts{}, MatchTypedSubjectAltNames: names}), []string{}},
		"no CA":       {validation(&tlsv3.CertificateValidationContext{TrustedCa: key}), []string{"invalid: .validation_context.trusted_ca: it has no certificate"}},
		"names without CA": {
			validation(&tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: names}),
			[]string{"invalid: .validation_context.match_typed_subject_alt_names: without a trusted_ca, anybody can have the names"},
		},
		"names without CA, of a cluster": {
			&tlsv3.UpstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{
				ValidationContext: &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: names},
			}}},
			[]string{"invalid: .common_tls_context.validation_context.match_typed_subject_alt_names: without a trusted_ca, anybody can have the names"},
		},
		"names, and a CA that comes": {
			&tlsv3.UpstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{
				CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
					DefaultValidationContext:         &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: names},
					ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: "ca"},
				},
			}}},
			[]string{},
		},

		"a server": {
			&tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: "a"}}}}, []string{},
		},
		"a server without certificate": {&tlsv3.DownstreamTlsContext{}, []string{"invalid: .common_tls_context: it has no certificates"}},
		"a client without certificate": {&tlsv3.UpstreamTlsContext{}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, ofMessage(test.message)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
