package translate

import (
	"maps"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// Secrets returns the certificates that the Gateway's HTTPS listeners present, one for each Secret, ordered by name.
// They are resources of their own, so that a renewed certificate drains no connection.
func Secrets(gw *graph.GatewayFacts) []*tlsv3.Secret {
	secrets := map[string]*tlsv3.Secret{}
	for _, l := range servedListeners(gw) {
		for _, c := range l.Certificates {
			name := secretName(c.Secret)
			secrets[name] = &tlsv3.Secret{
				Name: name,
				Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
					CertificateChain: inline(c.Chain),
					PrivateKey:       inline(c.Key),
				}},
			}
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

// downstreamTLS terminates TLS 1.2 or later with the given certificates, among which Envoy chooses by server name and key type.
func downstreamTLS(certificates []graph.CertificateFacts) *corev3.TransportSocket {
	common := &tlsv3.CommonTlsContext{
		TlsParams:     &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2},
		AlpnProtocols: []string{"h2", "http/1.1"},
	}
	for _, c := range certificates {
		common.TlsCertificateSdsSecretConfigs = append(common.TlsCertificateSdsSecretConfigs, &tlsv3.SdsSecretConfig{
			Name:      secretName(c.Secret),
			SdsConfig: adsSource(),
		})
	}
	return &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{
			TypedConfig: packed(&tlsv3.DownstreamTlsContext{CommonTlsContext: common}),
		},
	}
}
