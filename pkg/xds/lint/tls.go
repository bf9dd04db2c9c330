package lint

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// serverCertificates: "No TLS certificates found for server context".
func (w *walk) serverCertificates(path string, c *tlsv3.CommonTlsContext) {
	if len(c.GetTlsCertificates())+len(c.GetTlsCertificateSdsSecretConfigs()) == 0 &&
		c.GetTlsCertificateProviderInstance() == nil && c.GetCustomTlsCertificateSelector() == nil && c.GetCustomHandshaker() == nil {
		w.add(Invalid, path, "it has no certificates")
	}
}

// minRSABits: "only RSA certificates with 2048-bit or larger keys are supported".
const minRSABits = 2048

// certificate looks at a certificate and a key that are both in the configuration.
func (w *walk) certificate(path string, c *tlsv3.TlsCertificate) {
	chain, key := inline(c.GetCertificateChain()), inline(c.GetPrivateKey())
	if chain == nil || key == nil || c.GetPassword() != nil {
		return
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		w.add(Invalid, path, "%v", err)
		return
	}
	if public, ok := pair.Leaf.PublicKey.(*rsa.PublicKey); ok && public.N.BitLen() < minRSABits {
		w.add(Invalid, path, "the RSA key has %d bits, fewer than %d", public.N.BitLen(), minRSABits)
	}
}

// validationContext: "Failed to load trusted CA certificates", "SAN-based verification of peer certificates without trusted CA is
// insecure and not allowed".
func (w *walk) validationContext(path string, v *tlsv3.CertificateValidationContext) {
	if cas := inline(v.GetTrustedCa()); cas != nil && !x509.NewCertPool().AppendCertsFromPEM(cas) {
		w.add(Invalid, path+".trusted_ca", "it has no certificate")
	}
	trusts := v.GetTrustedCa() != nil || v.GetSystemRootCerts() != nil || v.GetCaCertificateProviderInstance() != nil || v.GetCustomValidatorConfig() != nil
	if len(v.GetMatchTypedSubjectAltNames()) > 0 && !trusts {
		w.add(Invalid, path+".match_typed_subject_alt_names", "without a trusted_ca, anybody can have the names")
	}
}

// inline returns what a DataSource has in itself; nil if it is elsewhere.
func inline(d *corev3.DataSource) []byte {
	switch of := d.GetSpecifier().(type) {
	case *corev3.DataSource_InlineBytes:
		return of.InlineBytes
	case *corev3.DataSource_InlineString:
		return []byte(of.InlineString)
	}
	return nil
}
