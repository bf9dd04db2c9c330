package secret

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// validation says which certificates of peers are accepted.
type validation struct {
	authorities     *x509.CertPool
	names           []func(*x509.Certificate) bool // of which one has to be true, if there are any
	acceptUntrusted bool
}

// newValidation reads a validation context. Without trusted_ca, Envoy verifies no chain, which nothing here asks for.
func newValidation(c *tlsv3.CertificateValidationContext) (*validation, error) {
	bundle, err := data(c.GetTrustedCa())
	if err != nil {
		return nil, fmt.Errorf("trusted_ca: %w", err)
	}
	out := &validation{acceptUntrusted: c.GetTrustChainVerification() == tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED}
	if out.authorities, err = newPool(bundle); err != nil {
		return nil, fmt.Errorf("trusted_ca: %w", err)
	}
	for i, m := range c.GetMatchTypedSubjectAltNames() {
		name := m.GetMatcher().GetExact()
		switch {
		case name == "":
			return nil, fmt.Errorf("match_typed_subject_alt_names[%d].matcher.exact: required", i)
		case m.GetSanType() == tlsv3.SubjectAltNameMatcher_DNS:
			out.names = append(out.names, func(c *x509.Certificate) bool {
				return slices.ContainsFunc(c.DNSNames, func(pattern string) bool { return dnsNameMatches(name, pattern) })
			})
		case m.GetSanType() == tlsv3.SubjectAltNameMatcher_URI:
			out.names = append(out.names, func(c *x509.Certificate) bool { return slices.Contains(uris(c), name) })
		default:
			return nil, fmt.Errorf("match_typed_subject_alt_names[%d].san_type: %s isn't executed", i, m.GetSanType())
		}
	}
	return out, nil
}

// newPool reads certificates in PEM. Unlike [x509.CertPool.AppendCertsFromPEM], it skips none that it can't read.
func newPool(bundle []byte) (*x509.CertPool, error) {
	pool, found := x509.NewCertPool(), false
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("a block of type %q isn't executed", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		pool.AddCert(c)
		found = true
	}
	if !found {
		return nil, errors.New("no certificate in it")
	}
	return pool, nil
}

// verify returns an error for a chain, the peer's own certificate first, that isn't accepted from a peer of that usage.
func (v *validation) verify(chain []*x509.Certificate, usage x509.ExtKeyUsage) error {
	if v.acceptUntrusted {
		return nil
	}
	if len(chain) == 0 {
		return errors.New("the peer shows no certificate")
	}
	options := x509.VerifyOptions{Roots: v.authorities, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{usage}}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(options); err != nil {
		return err
	}
	if len(v.names) > 0 && !slices.ContainsFunc(v.names, func(is func(*x509.Certificate) bool) bool { return is(chain[0]) }) {
		return fmt.Errorf("none of the names is asked for that the certificate has: %q %q", chain[0].DNSNames, uris(chain[0]))
	}
	return nil
}

// uris returns the URIs of a certificate as they are in it: [x509.Certificate.URIs] has them parsed, which forgets how they were
// spelled.
func uris(c *x509.Certificate) []string {
	const uriTag = 6 // GeneralName.uniformResourceIdentifier, RFC 5280 section 4.2.1.6
	var out []string
	for _, e := range c.Extensions {
		var names []asn1.RawValue
		if !isSubjectAltName(e) {
			continue
		}
		if _, err := asn1.Unmarshal(e.Value, &names); err != nil {
			continue
		}
		for _, name := range names {
			if name.Class == asn1.ClassContextSpecific && name.Tag == uriTag {
				out = append(out, string(name.Bytes))
			}
		}
	}
	return out
}

func isSubjectAltName(e pkix.Extension) bool { return e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) }

// dnsNameMatches compares a name with one of a certificate, by Envoy's rule for exact DNS matchers
// (SubjectAltNameMatcher.matcher): case doesn't count, and one asterisk in the first label, be it all of it or a part, is for
// what the name has there, if the label isn't one of an internationalized name.
func dnsNameMatches(name, pattern string) bool {
	name, pattern = strings.ToLower(name), strings.ToLower(pattern)
	if name == pattern {
		return true
	}
	label, domain, hasDomain := strings.Cut(name, ".")
	glob, patternDomain, patternHasDomain := strings.Cut(pattern, ".")
	if !hasDomain || !patternHasDomain || domain != patternDomain || strings.Contains(patternDomain, "*") || strings.HasPrefix(glob, "xn--") {
		return false
	}
	before, after, isGlob := strings.Cut(glob, "*")
	return isGlob && !strings.Contains(after, "*") && len(label) >= len(before)+len(after) &&
		strings.HasPrefix(label, before) && strings.HasSuffix(label, after)
}
