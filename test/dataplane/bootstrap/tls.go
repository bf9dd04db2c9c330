package bootstrap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/grpc/credentials"
)

// transport secures each connection in the way that holds when it is made.
type transport struct {
	config func() (*tls.Config, error)
}

func (t transport) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	config, err := t.config()
	if err != nil {
		return nil, nil, err
	}
	return credentials.NewTLS(config).ClientHandshake(ctx, authority, conn)
}

func (transport) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("it is no server")
}

func (transport) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

func (t transport) Clone() credentials.TransportCredentials { return t }

func (transport) OverrideServerName(string) error {
	return errors.New("the name of the server is given")
}

// newTLS reads how connections are secured. The name that is asked for (SNI) and the name that is verified have to be the same,
// as they are for everybody who reaches a server by its name.
func newTLS(socket *corev3.TransportSocket) (func() (*tls.Config, error), error) {
	context := &tlsv3.UpstreamTlsContext{}
	if err := unpack(socket.GetTypedConfig(), context); err != nil {
		return nil, err
	}
	common := context.GetCommonTlsContext()
	authority, known, err := newValidation(common)
	if err != nil {
		return nil, err
	}
	sans := known.GetMatchTypedSubjectAltNames()
	if len(sans) != 1 || sans[0].GetMatcher().GetExact() == "" {
		return nil, errors.New("validation_context.match_typed_subject_alt_names: exactly one, which is exact, is supported")
	}
	name, sni := sans[0].GetMatcher().GetExact(), context.GetSni()
	switch kind := sans[0].GetSanType(); {
	case kind == tlsv3.SubjectAltNameMatcher_DNS && sni == name, kind == tlsv3.SubjectAltNameMatcher_IP_ADDRESS && sni == "":
	default:
		return nil, fmt.Errorf("sni: %q isn't the server's %s name %q", sni, kind, name)
	}
	if alpn := common.GetAlpnProtocols(); len(alpn) != 1 || alpn[0] != "h2" {
		return nil, fmt.Errorf("alpn_protocols: only h2 is supported, not %q", alpn)
	}
	// Without a maximum, Envoy speaks TLS 1.2 at most to a server.
	if params := common.GetTlsParams(); params.GetTlsMinimumProtocolVersion() != tlsv3.TlsParameters_TLSv1_3 || params.GetTlsMaximumProtocolVersion() != tlsv3.TlsParameters_TLSv1_3 {
		return nil, errors.New("tls_params: only TLSv1_3 is supported, as the minimum and the maximum")
	}
	certificate, err := newCertificate(common)
	if err != nil {
		return nil, err
	}
	load := func() (config *tls.Config, err error) {
		config = &tls.Config{MinVersion: tls.VersionTLS13, ServerName: name}
		if config.RootCAs, err = authority(); err == nil {
			config.Certificates, err = certificate()
		}
		return config, err
	}
	_, err = load() // Envoy doesn't start without what it is to read
	return load, err
}

// newValidation returns what reads the certificates by which the server is verified, and what else it has to be. What doesn't come by
// SDS is read once.
func newValidation(common *tlsv3.CommonTlsContext) (authority func() (*x509.CertPool, error), known *tlsv3.CertificateValidationContext, err error) {
	const trustedCA = "validation_context.trusted_ca: %w"
	if combined := common.GetCombinedValidationContext(); combined != nil {
		known = combined.GetDefaultValidationContext()
		if known.GetTrustedCa() != nil || known.GetWatchedDirectory() != nil {
			return nil, nil, errors.New("combined_validation_context.default_validation_context: trusted_ca and watched_directory are for SDS to deliver")
		}
		read := func() (*x509.CertPool, error) {
			secret, err := readSecret(combined.GetValidationContextSdsSecretConfig())
			if err != nil {
				return nil, err
			}
			delivered := secret.GetValidationContext()
			if err := onlyTrustedCA(delivered); err != nil {
				return nil, err
			}
			pool, err := readPool(delivered.GetTrustedCa())
			if err != nil {
				return nil, fmt.Errorf(trustedCA, err)
			}
			return pool, nil
		}
		return read, known, nil
	}
	known = common.GetValidationContext()
	if known.GetWatchedDirectory() != nil {
		return nil, nil, errors.New("validation_context.watched_directory: only what SDS delivers is watched")
	}
	if known == nil { // which the lack of names tells
		return nil, nil, nil
	}
	pool, err := readPool(known.GetTrustedCa())
	if err != nil {
		return nil, nil, fmt.Errorf(trustedCA, err)
	}
	return func() (*x509.CertPool, error) { return pool, nil }, known, nil
}

func readPool(from *corev3.DataSource) (*x509.CertPool, error) {
	data, err := os.ReadFile(from.GetFilename())
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("no certificates in %s", from.GetFilename())
	}
	return pool, nil
}

// newCertificate returns what reads the certificate that is shown to the server. What doesn't come by SDS is read once.
func newCertificate(common *tlsv3.CommonTlsContext) (func() ([]tls.Certificate, error), error) {
	delivered, static := common.GetTlsCertificateSdsSecretConfigs(), common.GetTlsCertificates()
	if len(delivered)+len(static) > 1 {
		return nil, errors.New("tls_certificates: one is supported at most")
	}
	if len(delivered) == 1 {
		return func() ([]tls.Certificate, error) {
			secret, err := readSecret(delivered[0])
			if err != nil {
				return nil, err
			}
			return readCertificate(secret.GetTlsCertificate())
		}, nil
	}
	var shown []tls.Certificate
	if len(static) == 1 {
		if static[0].GetWatchedDirectory() != nil {
			return nil, errors.New("tls_certificates.watched_directory: only what SDS delivers is watched")
		}
		var err error
		if shown, err = readCertificate(static[0]); err != nil {
			return nil, err
		}
	}
	return func() ([]tls.Certificate, error) { return shown, nil }, nil
}

func readCertificate(c *tlsv3.TlsCertificate) ([]tls.Certificate, error) {
	certificate, err := tls.LoadX509KeyPair(c.GetCertificateChain().GetFilename(), c.GetPrivateKey().GetFilename())
	if err != nil {
		return nil, fmt.Errorf("tls_certificates: %w", err)
	}
	return []tls.Certificate{certificate}, nil
}
