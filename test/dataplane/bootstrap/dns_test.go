package bootstrap

import (
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	caresv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/cares/v3"
	getaddrinfov3 "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/getaddrinfo/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

func TestDNS(t *testing.T) {
	t.Parallel()
	server := func(host string) *corev3.Address {
		return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 53},
		}}}
	}
	with := func(t *testing.T, resolver proto.Message) *bootstrapv3.Bootstrap {
		typed, err := anypb.New(resolver)
		if err != nil {
			t.Fatal(err)
		}
		b := render(t, options())
		b.TypedDnsResolverConfig = &corev3.TypedExtensionConfig{Name: "envoy.network.dns_resolver.cares", TypedConfig: typed}
		return b
	}
	one := &caresv3.CaresDnsResolverConfig{Resolvers: []*corev3.Address{server("192.0.2.1")}}
	config, err := read(t, with(t, one), "envoy.yaml", Identity{})
	if err != nil || config.DNS.String() != "192.0.2.1:53" {
		t.Errorf("the server is %+v (%v)", config, err)
	}
	for name, test := range map[string]struct {
		resolver proto.Message
		want     string
	}{
		"none":             {&caresv3.CaresDnsResolverConfig{}, "resolvers: "},
		"two":              {&caresv3.CaresDnsResolverConfig{Resolvers: append(one.Resolvers, one.Resolvers...)}, "resolvers: exactly one"},
		"a name":           {&caresv3.CaresDnsResolverConfig{Resolvers: []*corev3.Address{server("dns.example.com")}}, "resolvers: "},
		"fallback":         {&caresv3.CaresDnsResolverConfig{Resolvers: one.Resolvers, UseResolversAsFallback: true}, "use_resolvers_as_fallback: not executed"},
		"another resolver": {&getaddrinfov3.GetAddrInfoDnsResolverConfig{}, "typed_dns_resolver_config"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := New(with(t, test.resolver), Identity{}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %q", err, test.want)
			}
		})
	}
}
