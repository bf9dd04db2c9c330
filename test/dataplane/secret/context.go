package secret

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// DownstreamConfig returns how connections are accepted, for [tls.Server], and the names of the secrets that it reads from the
// store. Until all of these are there, handshakes fail.
func DownstreamConfig(c *tlsv3.DownstreamTlsContext, store *Store) (*tls.Config, []string, error) {
	if err := errors.Join(c.ValidateAll(), executed.Check(c)); err != nil {
		return nil, nil, err
	}
	common, err := newCommon(c.GetCommonTlsContext(), store, tls.VersionTLS13)
	if err != nil {
		return nil, nil, fmt.Errorf("common_tls_context.%w", err)
	}
	if len(common.certificates) == 0 {
		return nil, nil, errors.New("common_tls_context.tls_certificate_sds_secret_configs: required, a server shows a certificate")
	}
	clientAuth := tls.NoClientCert
	switch {
	case c.GetRequireClientCertificate().GetValue():
		if common.validation == nil {
			return nil, nil, errors.New("require_client_certificate: needs a validation context, or Envoy asks for no certificate")
		}
		clientAuth = tls.RequireAnyClientCert // which is verified by VerifyConnection
	case common.validation != nil:
		clientAuth = tls.RequestClientCert
	}
	out := common.config()
	// Everything is asked for once for each connection, so that it isn't of two states of the store.
	out.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		certificates, validation, err := common.secrets()
		if err != nil {
			return nil, err
		}
		config := common.config()
		config.Certificates = []tls.Certificate{choose(certificates, hello).tls}
		if !slices.ContainsFunc(hello.SupportedProtos, func(p string) bool { return slices.Contains(config.NextProtos, p) }) {
			config.NextProtos = nil // Envoy goes on without a protocol, where crypto/tls would end the handshake
		}
		if validation != nil {
			config.ClientAuth, config.ClientCAs = clientAuth, validation.authorities
			config.VerifyConnection = func(state tls.ConnectionState) error {
				if len(state.PeerCertificates) == 0 {
					return nil // clientAuth has let it pass
				}
				return validation.verify(state.PeerCertificates, x509.ExtKeyUsageClientAuth)
			}
		}
		return config, nil
	}
	return out, common.names, nil
}

// UpstreamConfig returns how connections are made, for [tls.Client], and the names of the secrets that it reads from the store.
// Until all of these are there, handshakes fail. A validation context is required: without one, Envoy verifies nothing.
func UpstreamConfig(c *tlsv3.UpstreamTlsContext, store *Store) (*tls.Config, []string, error) {
	if err := errors.Join(c.ValidateAll(), executed.Check(c)); err != nil {
		return nil, nil, err
	}
	common, err := newCommon(c.GetCommonTlsContext(), store, tls.VersionTLS12)
	if err != nil {
		return nil, nil, fmt.Errorf("common_tls_context.%w", err)
	}
	if common.validation == nil {
		return nil, nil, errors.New("common_tls_context.validation_context: required, or Envoy verifies nothing")
	}
	if len(common.certificates) > 1 {
		return nil, nil, errors.New("common_tls_context.tls_certificate_sds_secret_configs: a client shows one certificate at most")
	}
	out := common.config()
	out.ServerName = c.GetSni()
	// Whom the server has to be is for the validation context to say, not for the server name that it is asked by.
	out.InsecureSkipVerify = true
	out.VerifyConnection = func(state tls.ConnectionState) error {
		_, validation, err := common.secrets()
		if err != nil {
			return err
		}
		return validation.verify(state.PeerCertificates, x509.ExtKeyUsageServerAuth)
	}
	if len(common.certificates) == 1 {
		out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			certificate, err := common.certificates[0]()
			if err != nil {
				return nil, err
			}
			return &certificate.tls, nil
		}
	}
	return out, common.names, nil
}

// common is a CommonTlsContext.
type common struct {
	minVersion, maxVersion uint16
	alpn                   []string
	certificates           []func() (*certificate, error)
	validation             func() (*validation, error) // nil if peers aren't validated
	names                  []string                    // of the secrets
}

// newCommon reads a CommonTlsContext. maxVersion is Envoy's default, which isn't the same at both ends.
func newCommon(c *tlsv3.CommonTlsContext, store *Store, maxVersion uint16) (*common, error) {
	out := &common{alpn: c.GetAlpnProtocols()}
	var err error
	if out.minVersion, err = version(c.GetTlsParams().GetTlsMinimumProtocolVersion(), tls.VersionTLS12); err != nil {
		return nil, fmt.Errorf("tls_params.tls_minimum_protocol_version: %w", err)
	}
	if out.maxVersion, err = version(c.GetTlsParams().GetTlsMaximumProtocolVersion(), maxVersion); err != nil {
		return nil, fmt.Errorf("tls_params.tls_maximum_protocol_version: %w", err)
	}
	if out.maxVersion < out.minVersion {
		return nil, fmt.Errorf("tls_params.tls_maximum_protocol_version: %s is less than the minimum; if it isn't set, it is %s",
			tls.VersionName(out.maxVersion), tls.VersionName(maxVersion))
	}
	for i, config := range c.GetTlsCertificateSdsSecretConfigs() {
		if err := overADS(config.GetSdsConfig()); err != nil {
			return nil, fmt.Errorf("tls_certificate_sds_secret_configs[%d].%w", i, err)
		}
		out.names = append(out.names, config.GetName())
		out.certificates = append(out.certificates, func() (*certificate, error) { return store.certificate(config.GetName()) })
	}
	switch kind := c.GetValidationContextType().(type) {
	case *tlsv3.CommonTlsContext_ValidationContext:
		static, err := newValidation(kind.ValidationContext)
		if err != nil {
			return nil, fmt.Errorf("validation_context.%w", err)
		}
		out.validation = func() (*validation, error) { return static, nil }
	case *tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig:
		config := kind.ValidationContextSdsSecretConfig
		if err := overADS(config.GetSdsConfig()); err != nil {
			return nil, fmt.Errorf("validation_context_sds_secret_config.%w", err)
		}
		out.names = append(out.names, config.GetName())
		out.validation = func() (*validation, error) { return store.validation(config.GetName()) }
	}
	return out, nil
}

// version returns a version of TLS as crypto/tls has it, which is the default if none is set.
func version(v tlsv3.TlsParameters_TlsProtocol, byDefault uint16) (uint16, error) {
	switch v {
	case tlsv3.TlsParameters_TLS_AUTO:
		return byDefault, nil
	case tlsv3.TlsParameters_TLSv1_2:
		return tls.VersionTLS12, nil
	case tlsv3.TlsParameters_TLSv1_3:
		return tls.VersionTLS13, nil
	}
	return 0, fmt.Errorf("%s isn't executed", v)
}

// config returns what doesn't depend on secrets.
func (c *common) config() *tls.Config {
	return &tls.Config{MinVersion: c.minVersion, MaxVersion: c.maxVersion, NextProtos: c.alpn}
}

// secrets returns the secrets as they are now, or an error if one isn't there.
func (c *common) secrets() (certificates []*certificate, v *validation, err error) {
	for _, get := range c.certificates {
		certificate, err := get()
		if err != nil {
			return nil, nil, err
		}
		certificates = append(certificates, certificate)
	}
	if c.validation != nil {
		v, err = c.validation()
	}
	return certificates, v, err
}
