package translate

import (
	"maps"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// Secrets returns what the TLS of a scope needs, ordered by name: the certificates that its listeners and, to backends, the
// Gateways themselves present, one for each Secret; and the CAs of clients, for each port whose HTTPS listeners
// validate them. They are resources of their own, so that a renewed certificate drains no connection.
func Secrets(scope *graph.ScopeFacts) []*tlsv3.Secret {
	secrets := map[string]*tlsv3.Secret{}
	add := func(secret *tlsv3.Secret) { secrets[secret.GetName()] = secret }
	for _, l := range servedListeners(scope) {
		for _, c := range l.Certificates {
			add(certificateSecret(c))
		}
		if l.ClientValidation != nil {
			add(clientCASecret(clientCAName(gatewayName(l.gateway), int32(l.Spec.Port)), l.ClientValidation))
		}
		if c := l.gateway.ClientCertificate; c != nil {
			add(certificateSecret(*c))
		}
	}
	out := make([]*tlsv3.Secret, 0, len(secrets))
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		out = append(out, secrets[name])
	}
	return out
}

func inline(data []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: data}}
}

// downstreamTLS terminates TLS 1.2 or later with the certificates of a listener, among which Envoy chooses by server name
// and key type, and offers the application protocols, if any are given. With clients to be validated, a connection waits until the secret with their CAs is there.
func downstreamTLS(l *graph.ListenerFacts, clientCA string, alpn ...string) *corev3.TransportSocket {
	out := &tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
		TlsParams:     &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2},
		AlpnProtocols: alpn,
	}}
	for _, c := range l.Certificates {
		out.CommonTlsContext.TlsCertificateSdsSecretConfigs = append(out.CommonTlsContext.TlsCertificateSdsSecretConfigs, sdsSecret(secretName(c.Secret)))
	}
	if v := l.ClientValidation; v != nil {
		out.RequireClientCertificate = wrapperspb.Bool(!v.Optional)
		out.CommonTlsContext.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{ValidationContextSdsSecretConfig: sdsSecret(clientCA)}
	}
	return transportSocket(out)
}

// clientCASecret validates the clients of an Envoy listener. If they may be invalid, they are asked for a certificate all
// the same.
func clientCASecret(name string, v *graph.ClientValidationFacts) *tlsv3.Secret {
	validation := &tlsv3.CertificateValidationContext{TrustedCa: inline(v.Authorities)}
	if v.Optional {
		validation.TrustChainVerification = tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED
	}
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{ValidationContext: validation}}
}

func certificateSecret(c graph.CertificateFacts) *tlsv3.Secret {
	return &tlsv3.Secret{
		Name: secretName(c.Secret),
		Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
			CertificateChain: inline(c.Chain),
			PrivateKey:       inline(c.Key),
		}},
	}
}

func sdsSecret(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: adsSource()}
}

func transportSocket(context proto.Message) *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed(context)},
	}
}
