package app

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func inlineString(s string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: s}}
}

// listenerWith is a listener whose one filter chain has a transport socket with that configuration.
func listenerWith(packed *anypb.Any) *listenerv3.Listener {
	return &listenerv3.Listener{FilterChains: []*listenerv3.FilterChain{{
		TransportSocket: &corev3.TransportSocket{Name: "tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed}},
	}}}
}

func pack(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	packed, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func TestRedact(t *testing.T) {
	t.Parallel()
	certificate := func(key *corev3.DataSource) *tlsv3.TlsCertificate {
		return &tlsv3.TlsCertificate{CertificateChain: inlineString("chain"), PrivateKey: key}
	}
	inListener := func(key *corev3.DataSource) proto.Message {
		return listenerWith(pack(t, &tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsCertificates: []*tlsv3.TlsCertificate{certificate(key)},
		}}))
	}
	unknown := &anypb.Any{TypeUrl: "type.googleapis.com/example.Unknown", Value: []byte("key")}
	for _, test := range []struct {
		name     string
		in, want proto.Message
	}{
		{"a secret's private key", certificate(inlineString("key")), certificate(inlineString(redacted))},
		{"a private key in bytes", certificate(&corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: []byte("key")}}), certificate(inlineString(redacted))},
		{"a private key packed in a listener", inListener(inlineString("key")), inListener(inlineString(redacted))},
		{"a secret of another kind",
			&tlsv3.Secret{Type: &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{Secret: inlineString("key")}}},
			&tlsv3.Secret{Type: &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{Secret: inlineString(redacted)}}}},
		{"session ticket keys", &tlsv3.TlsSessionTicketKeys{Keys: []*corev3.DataSource{inlineString("key")}}, &tlsv3.TlsSessionTicketKeys{}},
		{"nothing to redact", inlineString("open"), inlineString("open")},
		{"an unknown type",
			listenerWith(unknown),
			listenerWith(pack(t, wrapperspb.String("[3 bytes of the unknown type type.googleapis.com/example.Unknown]")))},
	} {
		before := proto.Clone(test.in)
		got, err := redact(test.in)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if !proto.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
		if !proto.Equal(test.in, before) {
			t.Errorf("%s: the argument was changed", test.name)
		}
	}
}
