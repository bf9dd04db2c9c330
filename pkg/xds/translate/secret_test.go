package translate

import (
	"testing"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

func TestSecrets(t *testing.T) {
	t.Parallel()
	unserved := listener("unserved", "HTTPS", 443, "", "other")
	unserved.Unprogrammed = &graph.Problem{Reason: "Invalid"}
	got := Secrets(scopeOf(gatewayFacts(
		listener("a", "HTTPS", 443, "a.example", "rsa", "ecdsa"),
		listener("b", "HTTPS", 443, "b.example", "rsa"),
		unserved)))
	for _, s := range got {
		validate(t, s)
	}
	// Bytes are base64 in protobuf JSON: "ecdsa chain", "ecdsa key", "rsa chain", "rsa key".
	expect(t, got, `[
		{name: ns/ecdsa, tlsCertificate: {certificateChain: {inlineBytes: ZWNkc2EgY2hhaW4=}, privateKey: {inlineBytes: ZWNkc2Ega2V5}}},
		{name: ns/rsa, tlsCertificate: {certificateChain: {inlineBytes: cnNhIGNoYWlu}, privateKey: {inlineBytes: cnNhIGtleQ==}}}]`)
}

func TestDownstreamTLS(t *testing.T) {
	t.Parallel()
	got, _ := listeners(t, gatewayFacts(listener("a", "HTTPS", 443, "", "rsa", "ecdsa", "third")))
	tls := &tlsv3.DownstreamTlsContext{}
	if err := got[0].FilterChains[0].TransportSocket.GetTypedConfig().UnmarshalTo(tls); err != nil {
		t.Fatal(err)
	}
	expect(t, []*tlsv3.DownstreamTlsContext{tls}, `[{commonTlsContext: {
		tlsParams: {tlsMinimumProtocolVersion: TLSv1_2},
		alpnProtocols: [h2, http/1.1],
		tlsCertificateSdsSecretConfigs: [
			{name: ns/rsa, sdsConfig: {ads: {}, resourceApiVersion: V3}},
			{name: ns/ecdsa, sdsConfig: {ads: {}, resourceApiVersion: V3}},
			{name: ns/third, sdsConfig: {ads: {}, resourceApiVersion: V3}}]}}]`)
}

// TestClientValidation: per port, since all of a port's HTTPS listeners validate alike.
func TestClientValidation(t *testing.T) {
	t.Parallel()
	validating := func(name string, port int32, v graph.ClientValidationFacts) *graph.ListenerFacts {
		l := listener(name, "HTTPS", port, name+".example", "s")
		l.ClientValidation = &v
		return l
	}
	gw := gatewayFacts(
		validating("a", 443, graph.ClientValidationFacts{Authorities: []byte("ca")}),
		validating("b", 443, graph.ClientValidationFacts{Authorities: []byte("ca")}),
		validating("c", 8443, graph.ClientValidationFacts{Authorities: []byte("ca"), Optional: true}),
		listener("d", "HTTPS", 9443, "", "s"))
	gw.ClientCertificate = &graph.CertificateFacts{Secret: clientSecret, Chain: []byte("chain"), Key: []byte("key")}
	secrets := Secrets(scopeOf(gw))
	for _, s := range secrets {
		validate(t, s)
	}
	expect(t, secrets, `[
		{name: ns/client, tlsCertificate: {certificateChain: {inlineBytes: Y2hhaW4=}, privateKey: {inlineBytes: a2V5}}},
		{name: "ns/gw:443/client-ca", validationContext: {trustedCa: {inlineBytes: Y2E=}}},
		{name: "ns/gw:8443/client-ca", validationContext: {trustedCa: {inlineBytes: Y2E=}, trustChainVerification: ACCEPT_UNTRUSTED}},
		{name: ns/s, tlsCertificate: {certificateChain: {inlineBytes: cyBjaGFpbg==}, privateKey: {inlineBytes: cyBrZXk=}}}]`)

	got, _ := listeners(t, gw)
	var contexts []*tlsv3.DownstreamTlsContext
	for _, l := range got {
		for _, chain := range l.FilterChains {
			tls := &tlsv3.DownstreamTlsContext{}
			if err := chain.TransportSocket.GetTypedConfig().UnmarshalTo(tls); err != nil {
				t.Fatal(err)
			}
			tls.CommonTlsContext.TlsParams, tls.CommonTlsContext.AlpnProtocols, tls.CommonTlsContext.TlsCertificateSdsSecretConfigs = nil, nil, nil
			contexts = append(contexts, tls)
		}
	}
	expect(t, contexts, `[
		{requireClientCertificate: true, commonTlsContext: {validationContextSdsSecretConfig: {name: "ns/gw:443/client-ca", sdsConfig: {ads: {}, resourceApiVersion: V3}}}},
		{requireClientCertificate: true, commonTlsContext: {validationContextSdsSecretConfig: {name: "ns/gw:443/client-ca", sdsConfig: {ads: {}, resourceApiVersion: V3}}}},
		{requireClientCertificate: false, commonTlsContext: {validationContextSdsSecretConfig: {name: "ns/gw:8443/client-ca", sdsConfig: {ads: {}, resourceApiVersion: V3}}}},
		{commonTlsContext: {}}]`)
}
