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
	got := Secrets(gatewayFacts(
		listener("a", "HTTPS", 443, "a.example", "rsa", "ecdsa"),
		listener("b", "HTTPS", 443, "b.example", "rsa"),
		unserved))
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
