package secret

import (
	"errors"
	"fmt"
	"os"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/strict"
)

// executed are the fields that are read.
var executed = strict.Fields{
	"envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext": "common_tls_context require_client_certificate",
	"envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext":   "common_tls_context sni",
	"envoy.extensions.transport_sockets.tls.v3.CommonTlsContext": "tls_params alpn_protocols tls_certificate_sds_secret_configs " +
		"validation_context validation_context_sds_secret_config",
	"envoy.extensions.transport_sockets.tls.v3.TlsParameters":                "tls_minimum_protocol_version tls_maximum_protocol_version",
	"envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig":              "name sds_config",
	"envoy.config.core.v3.ConfigSource":                                      "ads resource_api_version",
	"envoy.config.core.v3.AggregatedConfigSource":                            "",
	"envoy.extensions.transport_sockets.tls.v3.Secret":                       "name tls_certificate validation_context",
	"envoy.extensions.transport_sockets.tls.v3.TlsCertificate":               "certificate_chain private_key",
	"envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext": "trusted_ca match_typed_subject_alt_names trust_chain_verification",
	"envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher":        "san_type matcher",
	"envoy.type.matcher.v3.StringMatcher":                                    "exact",
	"envoy.config.core.v3.DataSource":                                        "inline_bytes filename",
}

// data returns what a data source has.
func data(source *corev3.DataSource) ([]byte, error) {
	switch s := source.GetSpecifier().(type) {
	case *corev3.DataSource_InlineBytes:
		return s.InlineBytes, nil
	case *corev3.DataSource_Filename:
		return os.ReadFile(s.Filename)
	}
	return nil, errors.New("has no data")
}

// overADS says whether a secret comes by the stream by which everything comes.
func overADS(source *corev3.ConfigSource) error {
	if source.GetAds() == nil || source.GetResourceApiVersion() != corev3.ApiVersion_V3 {
		return fmt.Errorf("sds_config: only ads with resource_api_version V3 is executed, not %v", source)
	}
	return nil
}
