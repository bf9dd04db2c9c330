package translate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// systemCAs is where the CAs are that the system of an Envoy trusts: on Debian and Ubuntu, and in Envoy's own images
// (Envoy's documentation of TLS lists it as the first of the common places). Envoy refuses a cluster if the file isn't
// there; on systems that keep theirs elsewhere, a symbolic link makes it so.
const systemCAs = "/etc/ssl/certs/ca-certificates.crt"

// upstreamTLS connects with TLS 1.2 or later to a backend that proves to be what a BackendTLSPolicy says, and shows it a
// client certificate if there is one, of which the SDS secret is named. The application protocols, if any are given, are asked
// for. The CAs are inline: a change to them makes Envoy connect anew, which a CA that isn't trusted any more calls for.
func upstreamTLS(tls *graph.BackendTLSFacts, clientCertificate string, alpn ...string) *corev3.TransportSocket {
	common := &tlsv3.CommonTlsContext{
		TlsParams: &tlsv3.TlsParameters{
			TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2,
			TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3, // towards backends, Envoy's default is 1.2
		},
		AlpnProtocols: alpn,
		ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa:                 trustedCAs(tls),
			MatchTypedSubjectAltNames: subjectAltNames(tls),
		}},
	}
	if clientCertificate != "" {
		common.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{sdsSecret(clientCertificate)}
	}
	return transportSocket(&tlsv3.UpstreamTlsContext{CommonTlsContext: common, Sni: tls.Hostname})
}

// clientCertificate names the SDS secret that the backends of a cluster are shown; empty if there is none.
func clientCertificate(key ClusterKey, port *graph.BackendPortFacts) string {
	switch {
	case port.TLS.ClientCertificate != nil:
		return backendSecretName(port.Key)
	case key.ClientCertificate.Name != "":
		return secretName(key.ClientCertificate)
	}
	return ""
}

func trustedCAs(tls *graph.BackendTLSFacts) *corev3.DataSource {
	if tls.System {
		return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: systemCAs}}
	}
	return inline(tls.Authorities)
}

// subjectAltNames returns the names of which a backend's certificate must have one. "If SubjectAltNames are specified,
// Hostname can be used for certificate selection but MUST NOT be used for authentication." Envoy compares an exact DNS name
// as usual for TLS: a wildcard in the certificate matches it.
func subjectAltNames(tls *graph.BackendTLSFacts) []*tlsv3.SubjectAltNameMatcher {
	if len(tls.SubjectAltNames) == 0 {
		return []*tlsv3.SubjectAltNameMatcher{subjectAltName(tlsv3.SubjectAltNameMatcher_DNS, tls.Hostname)}
	}
	var out []*tlsv3.SubjectAltNameMatcher
	for _, name := range tls.SubjectAltNames {
		if name.Type == gwv1.URISubjectAltNameType {
			out = append(out, subjectAltName(tlsv3.SubjectAltNameMatcher_URI, string(name.URI)))
		} else {
			out = append(out, subjectAltName(tlsv3.SubjectAltNameMatcher_DNS, string(name.Hostname)))
		}
	}
	return out
}

func subjectAltName(kind tlsv3.SubjectAltNameMatcher_SanType, name string) *tlsv3.SubjectAltNameMatcher {
	return &tlsv3.SubjectAltNameMatcher{
		SanType: kind,
		Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: name}},
	}
}
