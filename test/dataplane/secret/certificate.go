package secret

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// certificate is a certificate that is shown to peers.
type certificate struct {
	tls   tls.Certificate
	names []string // by which Envoy finds it for a server name
	ecdsa bool     // its key, which else is of RSA
}

// newCertificate reads a certificate, of a key that Envoy takes: RSA of 2048 bits or more, or ECDSA.
func newCertificate(c *tlsv3.TlsCertificate) (*certificate, error) {
	chain, err := data(c.GetCertificateChain())
	if err != nil {
		return nil, fmt.Errorf("certificate_chain: %w", err)
	}
	key, err := data(c.GetPrivateKey())
	if err != nil {
		return nil, fmt.Errorf("private_key: %w", err)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("certificate_chain: %w", err)
	}
	out := &certificate{tls: pair, names: serverNames(pair.Leaf)}
	switch public := pair.Leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		out.ecdsa = true
	case *rsa.PublicKey:
		if public.N.BitLen() < 2048 {
			return nil, fmt.Errorf("certificate_chain: an RSA key of %d bits; only those of 2048 bits or more are supported", public.N.BitLen())
		}
	default:
		return nil, fmt.Errorf("certificate_chain: a key of type %T; only RSA and ECDSA are supported", public)
	}
	return out, nil
}

// serverNames returns the names that a certificate is found by: its DNS names, or its common name if it has no alternative
// names of any kind. Of a wildcard it is the domain, with the dot at its beginning.
func serverNames(leaf *x509.Certificate) []string {
	names := slices.Clone(leaf.DNSNames)
	if !slices.ContainsFunc(leaf.Extensions, isSubjectAltName) && leaf.Subject.CommonName != "" {
		names = []string{leaf.Subject.CommonName}
	}
	for i, name := range names {
		if strings.HasPrefix(name, "*.") {
			names[i] = name[1:]
		}
	}
	return names
}

// choose picks the certificate for a client, as Envoy documents it ("Certificate selection"): one with the server name, else one
// with a wildcard for it, and of these one with an ECDSA key if the client can verify it, else one with an RSA key. The first is
// for server names that no certificate has. Without a server name, all are candidates.
func choose(certificates []*certificate, hello *tls.ClientHelloInfo) *certificate {
	if hello.ServerName == "" {
		if c := preferred(certificates, hello); c != nil {
			return c
		}
		return certificates[0]
	}
	names := []string{hello.ServerName}
	if _, domain, ok := strings.Cut(hello.ServerName[1:], "."); ok && domain != "" {
		names = append(names, "."+domain)
	}
	for _, name := range names {
		var named []*certificate
		for _, c := range certificates {
			if slices.Contains(c.names, name) {
				named = append(named, c)
			}
		}
		if c := preferred(named, hello); c != nil {
			return c
		}
	}
	return certificates[0]
}

// preferred returns the first certificate with an ECDSA key that the client can verify, else the first with an RSA key, or nil.
func preferred(certificates []*certificate, hello *tls.ClientHelloInfo) *certificate {
	anyName := *hello
	anyName.ServerName = ""
	var other *certificate
	for _, c := range certificates {
		if c.ecdsa && anyName.SupportsCertificate(&c.tls) == nil {
			return c
		}
		if !c.ecdsa && other == nil {
			other = c
		}
	}
	return other
}
