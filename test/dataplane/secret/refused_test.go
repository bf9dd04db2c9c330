package secret

import (
	"crypto/ed25519"
	"crypto/rand"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestRefusedSecrets(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "ca")
	_, ed25519Key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := func(change func(*tlsv3.TlsCertificate)) *tlsv3.Secret {
		s := ca.secret(t, "web", newECDSA(t), named("a.example"))
		change(s.GetTlsCertificate())
		return s
	}
	validation := func(change func(*tlsv3.CertificateValidationContext)) *tlsv3.Secret {
		s := ca.validation("ca")
		change(s.GetValidationContext())
		return s
	}
	names := func(kind tlsv3.SubjectAltNameMatcher_SanType, name string) *tlsv3.Secret {
		return validation(func(c *tlsv3.CertificateValidationContext) {
			c.MatchTypedSubjectAltNames = []*tlsv3.SubjectAltNameMatcher{san(kind, name)}
		})
	}
	ticketKeys := &tlsv3.TlsSessionTicketKeys{Keys: []*corev3.DataSource{inline(make([]byte, 80))}}
	otherKey := ca.secret(t, "web", newECDSA(t), named("a.example")).GetTlsCertificate().GetPrivateKey()
	for want, s := range map[string]*tlsv3.Secret{
		"type":                          {Name: "web"},
		"session_ticket_keys":           {Name: "web", Type: &tlsv3.Secret_SessionTicketKeys{SessionTicketKeys: ticketKeys}},
		"tls_certificate.ocsp_staple":   cert(func(c *tlsv3.TlsCertificate) { c.OcspStaple = inline([]byte("x")) }),
		"tls_certificate.private_key":   cert(func(c *tlsv3.TlsCertificate) { c.PrivateKey = nil }),
		"private key does not match":    cert(func(c *tlsv3.TlsCertificate) { c.PrivateKey = otherKey }),
		"only RSA and ECDSA":            ca.secret(t, "web", ed25519Key, named("a.example")),
		"validation_context.trusted_ca": validation(func(c *tlsv3.CertificateValidationContext) { c.TrustedCa = nil }),
		"no certificate in it":          validation(func(c *tlsv3.CertificateValidationContext) { c.TrustedCa = inline([]byte("x")) }),
		`"X509 CRL" isn't executed`: validation(func(c *tlsv3.CertificateValidationContext) {
			c.TrustedCa = inline(encode("X509 CRL", nil))
		}),
		"validation_context.crl":             validation(func(c *tlsv3.CertificateValidationContext) { c.Crl = inline([]byte("x")) }),
		"allow_expired_certificate":          validation(func(c *tlsv3.CertificateValidationContext) { c.AllowExpiredCertificate = true }),
		"san_type: EMAIL isn't executed":     names(tlsv3.SubjectAltNameMatcher_EMAIL, "a@b"),
		"match_typed_subject_alt_names[0].m": names(tlsv3.SubjectAltNameMatcher_DNS, ""),
	} {
		store := NewStore()
		if err := store.Update(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
		if _, err := store.certificate(s.GetName()); err == nil {
			t.Errorf("%s: a certificate that was refused is used", want)
		}
	}
}

func TestRefusedContexts(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "ca")
	type common = tlsv3.CommonTlsContext
	for want, change := range map[string]func(*tlsv3.DownstreamTlsContext, *common){
		"tls_certificate_sds_secret_configs: required": func(_ *tlsv3.DownstreamTlsContext, c *common) { c.TlsCertificateSdsSecretConfigs = nil },
		"require_client_certificate": func(d *tlsv3.DownstreamTlsContext, _ *common) {
			d.RequireClientCertificate = wrapperspb.Bool(true)
		},
		"require_sni": func(d *tlsv3.DownstreamTlsContext, _ *common) { d.RequireSni = wrapperspb.Bool(true) },
		"common_tls_context.tls_params.cipher_suites": func(_ *tlsv3.DownstreamTlsContext, c *common) { c.TlsParams.CipherSuites = []string{"x"} },
		"tls_minimum_protocol_version": func(_ *tlsv3.DownstreamTlsContext, c *common) {
			c.TlsParams.TlsMinimumProtocolVersion = tlsv3.TlsParameters_TLSv1_1
		},
		"sds_config": func(_ *tlsv3.DownstreamTlsContext, c *common) { c.TlsCertificateSdsSecretConfigs[0].SdsConfig = nil },
	} {
		c := &tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsParams: &tlsv3.TlsParameters{}, TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{sds("web")},
		}}
		change(c, c.CommonTlsContext)
		if _, _, err := DownstreamConfig(c, NewStore()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for want, change := range map[string]func(*tlsv3.UpstreamTlsContext, *common){
		"validation_context: required": func(_ *tlsv3.UpstreamTlsContext, c *common) { c.ValidationContextType = nil },
		"one certificate at most": func(_ *tlsv3.UpstreamTlsContext, c *common) {
			c.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{sds("a"), sds("b")}
		},
		"allow_renegotiation": func(u *tlsv3.UpstreamTlsContext, _ *common) { u.AllowRenegotiation = true },
		"tls_maximum_protocol_version: TLS ": func(_ *tlsv3.UpstreamTlsContext, c *common) {
			c.TlsParams = &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_3}
		},
	} {
		c := upstreamContext(ca)
		change(c, c.CommonTlsContext)
		if _, _, err := UpstreamConfig(c, NewStore()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
