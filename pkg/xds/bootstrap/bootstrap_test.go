package bootstrap

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	credentialv3 "github.com/envoyproxy/go-control-plane/envoy/config/grpc_credential/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/xds"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	"sigs.k8s.io/yaml"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

func options() Options {
	return Options{
		Gateway: "default/web", NodeID: "web-2",
		Server: Address{"xds.example.com", 443}, Admin: Address{"::1", 9901},
	}
}

func newBootstrap(t *testing.T, o Options) *bootstrapv3.Bootstrap {
	t.Helper()
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := validateAll(b); err != nil {
		t.Errorf("Envoy would refuse it: %v", err)
	}
	return b
}

// validateAll checks every message in m by Envoy's rules, those that are packed in an Any included.
func validateAll(m proto.Message) error {
	var problems []error
	err := protorange.Range(m.ProtoReflect(), func(path protopath.Values) error {
		message, ok := path.Index(-1).Value.Interface().(protoreflect.Message)
		if !ok {
			return nil
		}
		if v, ok := message.Interface().(interface{ ValidateAll() error }); ok {
			problems = append(problems, v.ValidateAll())
		}
		return nil
	})
	return errors.Join(append(problems, err)...)
}

func TestValidateAllSeesIntoAny(t *testing.T) {
	t.Parallel()
	b := newBootstrap(t, options())
	b.GetStaticResources().GetClusters()[0].TypedExtensionProtocolOptions[httpProtocolOptions].Value = nil // it requires a protocol
	if err := validateAll(b); err == nil {
		t.Error("an invalid message in an Any passed")
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	b := newBootstrap(t, options())
	if b.GetNode().GetId() != "web-2" || b.GetNode().GetMetadata().AsMap()[nodes.GatewayKey] != "default/web" {
		t.Errorf("node %v, want web-2 asking for default/web", b.GetNode())
	}
	if scope, err := new(nodes.Directory).Scope(b.GetNode()); err != nil || scope != nodes.GatewayScope("default/web") {
		t.Errorf("to the server, the node is of scope %q (%v)", scope, err)
	}
	if ads := b.GetDynamicResources().GetAdsConfig(); ads.GetApiType() != corev3.ApiConfigSource_DELTA_GRPC ||
		ads.GetGrpcServices()[0].GetEnvoyGrpc().GetClusterName() != b.GetStaticResources().GetClusters()[0].GetName() {
		t.Errorf("ads %v, want delta over the static cluster", ads)
	}
	address := b.GetStaticResources().GetClusters()[0].GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().GetAddress().GetSocketAddress()
	if address.GetAddress() != "xds.example.com" || address.GetPortValue() != 443 {
		t.Errorf("xDS at %v, want xds.example.com:443", address)
	}
	if admin := b.GetAdmin().GetAddress().GetSocketAddress(); admin.GetAddress() != "::1" || admin.GetPortValue() != 9901 {
		t.Errorf("admin at %v, want [::1]:9901", admin)
	}
	if b.GetStaticResources().GetListeners() != nil || b.GetDynamicResources().GetLdsConfig().GetInitialFetchTimeout() != nil {
		t.Error("it is to say nothing of its readiness, and has a listener for that, or waits for its configuration for ever")
	}
}

// An Envoy resolves names only in clusters of a DNS type, and accepts only IPs in the others.
func TestDiscoveryType(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]clusterv3.Cluster_DiscoveryType{
		"127.0.0.1": clusterv3.Cluster_STATIC, "::1": clusterv3.Cluster_STATIC, "localhost": clusterv3.Cluster_STRICT_DNS,
	} {
		o := options()
		o.Server.Host = host
		if got := newBootstrap(t, o).GetStaticResources().GetClusters()[0].GetType(); got != want {
			t.Errorf("%s: type %s, want %s", host, got, want)
		}
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		host, sni string
		san       tlsv3.SubjectAltNameMatcher_SanType
	}{
		"name":    {"xds.example.com", "xds.example.com", tlsv3.SubjectAltNameMatcher_DNS},
		"address": {"192.0.2.1", "", tlsv3.SubjectAltNameMatcher_IP_ADDRESS},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options()
			o.Server.Host, o.TLS = tt.host, &TLS{CA: "/etc/envoy/ca.crt", Cert: "/etc/envoy/tls.crt", Key: "/etc/envoy/tls.key"}
			var socket tlsv3.UpstreamTlsContext
			if err := newBootstrap(t, o).GetStaticResources().GetClusters()[0].GetTransportSocket().GetTypedConfig().UnmarshalTo(&socket); err != nil {
				t.Fatal(err)
			}
			common := socket.GetCommonTlsContext()
			validation := common.GetValidationContext()
			san := validation.GetMatchTypedSubjectAltNames()[0]
			if socket.GetSni() != tt.sni || san.GetSanType() != tt.san || san.GetMatcher().GetExact() != tt.host {
				t.Errorf("the server %s is asked for as %q and known by %v", tt.host, socket.GetSni(), san)
			}
			if validation.GetTrustedCa().GetFilename() != "/etc/envoy/ca.crt" {
				t.Errorf("the CA is %v", validation.GetTrustedCa())
			}
			if c := common.GetTlsCertificates(); len(c) != 1 || c[0].GetCertificateChain().GetFilename() != "/etc/envoy/tls.crt" || c[0].GetPrivateKey().GetFilename() != "/etc/envoy/tls.key" {
				t.Errorf("it shows %v", c)
			}
		})
	}
	o := options()
	o.TLS = &TLS{CA: "ca.crt"}
	var socket tlsv3.UpstreamTlsContext
	if err := newBootstrap(t, o).GetStaticResources().GetClusters()[0].GetTransportSocket().GetTypedConfig().UnmarshalTo(&socket); err != nil {
		t.Fatal(err)
	}
	if c := socket.GetCommonTlsContext().GetTlsCertificates(); len(c) > 0 {
		t.Errorf("without a certificate, it shows %v", c)
	}
}

// What SDS delivers from files is what Envoy takes without a restart. Whom the server has to be stays in the bootstrap.
func TestSDS(t *testing.T) {
	t.Parallel()
	o := options()
	o.TLS = &TLS{CA: "/pki/ca.crt", Cert: "/pki/tls.crt", Key: "/pki/tls.key", SDS: "/etc/envoy"}
	var socket tlsv3.UpstreamTlsContext
	if err := newBootstrap(t, o).GetStaticResources().GetClusters()[0].GetTransportSocket().GetTypedConfig().UnmarshalTo(&socket); err != nil {
		t.Fatal(err)
	}
	common := socket.GetCommonTlsContext()
	validation := common.GetCombinedValidationContext()
	if san := validation.GetDefaultValidationContext().GetMatchTypedSubjectAltNames(); len(san) != 1 || san[0].GetMatcher().GetExact() != "xds.example.com" {
		t.Errorf("the server is known by %v", san)
	}
	configs := append([]*tlsv3.SdsSecretConfig{validation.GetValidationContextSdsSecretConfig()}, common.GetTlsCertificateSdsSecretConfigs()...)
	files, err := SDSFiles(*o.TLS)
	if err != nil || len(files) != len(configs) || len(common.GetTlsCertificates()) > 0 {
		t.Fatalf("files %v (%v) for %v", files, err, configs)
	}
	for _, config := range configs {
		name, ok := strings.CutPrefix(config.GetSdsConfig().GetPathConfigSource().GetPath(), "/etc/envoy/")
		data, err := yaml.YAMLToJSON(files[name])
		if err != nil || !ok {
			t.Fatalf("%s: %v", name, err)
		}
		var response discoveryv3.DiscoveryResponse
		if err := protojson.Unmarshal(data, &response); err != nil {
			t.Fatal(err)
		}
		if err := validateAll(&response); err != nil {
			t.Errorf("Envoy would refuse it: %v", err)
		}
		var secret tlsv3.Secret
		if err := response.GetResources()[0].UnmarshalTo(&secret); err != nil || secret.GetName() != config.GetName() {
			t.Errorf("%s has %v (%v)", name, &secret, err)
		}
		watched := secret.GetTlsCertificate().GetWatchedDirectory().GetPath() + secret.GetValidationContext().GetWatchedDirectory().GetPath()
		if watched != "/pki" {
			t.Errorf("%s: the directory %s is watched", name, watched)
		}
	}
	o.TLS.Cert, o.TLS.Key = "", ""
	if files, err := SDSFiles(*o.TLS); err != nil || len(files) != 1 {
		t.Errorf("without a certificate: %v, %v", files, err)
	}
}

// Only Google's gRPC client sends tokens, and it needs no cluster.
func TestToken(t *testing.T) {
	t.Parallel()
	for host, target := range map[string]string{"xds.example.com": "xds.example.com:443", "2001:db8::1": "[2001:db8::1]:443"} {
		o := options()
		o.Server.Host, o.TLS = host, &TLS{CA: "/ca.crt", Token: "/token"}
		b := newBootstrap(t, o)
		service := b.GetDynamicResources().GetAdsConfig().GetGrpcServices()[0].GetGoogleGrpc()
		if service.GetTargetUri() != target || len(b.GetStaticResources().GetClusters()) > 0 {
			t.Errorf("it asks %v, with clusters %v", service, b.GetStaticResources().GetClusters())
		}
		var token credentialv3.FileBasedMetadataConfig
		if err := service.GetCallCredentials()[0].GetFromPlugin().GetTypedConfig().UnmarshalTo(&token); err != nil {
			t.Fatal(err)
		}
		if token.GetSecretData().GetFilename() != "/token" || token.GetHeaderPrefix() != "Bearer " ||
			service.GetChannelCredentials().GetSslCredentials().GetRootCerts().GetFilename() != "/ca.crt" ||
			service.GetCredentialsFactoryName() != service.GetCallCredentials()[0].GetFromPlugin().GetName() {
			t.Errorf("credentials %v", service)
		}
	}
}

// A gRPC client is the judge of what is rendered for gRPC clients.
func TestGRPC(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		tls  *TLS
		want []string
	}{
		"plaintext":   {nil, []string{`"type": "insecure"`}},
		"certificate": {&TLS{CA: "/ca.crt", Cert: "/tls.crt", Key: "/tls.key"}, []string{`"type": "tls"`, `"certificate_file": "/tls.crt"`, `"private_key_file": "/tls.key"`, `"ca_certificate_file": "/ca.crt"`}},
		"token":       {&TLS{CA: "/ca.crt", Token: "/token"}, []string{`"type": "tls"`, `"ca_certificate_file": "/ca.crt"`, `"jwt_token_file": "/token"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, err := GRPC(GRPCOptions{Namespace: "shop", NodeID: "a", Server: Address{"::1", 18000}, TLS: tt.tls})
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if !strings.Contains(string(data), want) {
					t.Errorf("no %s in\n%s", want, data)
				}
			}
			if _, err := xds.NewXDSResolverWithConfigForTesting(data); err != nil {
				t.Errorf("%v in:\n%s", err, data)
			}
		})
	}
}

// Who asks the readiness port gets to nothing but the one answer: no route leads from there.
func TestReadiness(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"::", "0.0.0.0"} {
		o := options()
		o.Readiness = &Address{host, 19001}
		b := newBootstrap(t, o)
		listener := b.GetStaticResources().GetListeners()[0]
		at := listener.GetAddress().GetSocketAddress()
		if at.GetAddress() != host || at.GetPortValue() != 19001 || at.GetIpv4Compat() != (host == "::") {
			t.Errorf("it listens at %v", at)
		}
		var manager hcmv3.HttpConnectionManager
		if err := listener.GetFilterChains()[0].GetFilters()[0].GetTypedConfig().UnmarshalTo(&manager); err != nil {
			t.Fatal(err)
		}
		if hosts := manager.GetRouteConfig().GetVirtualHosts(); manager.GetRouteConfig() == nil || len(hosts) > 0 {
			t.Errorf("requests are routed by %v", manager.GetRouteSpecifier())
		}
		for _, source := range []*corev3.ConfigSource{b.GetDynamicResources().GetLdsConfig(), b.GetDynamicResources().GetCdsConfig()} {
			if source.GetInitialFetchTimeout() == nil || source.GetInitialFetchTimeout().AsDuration() != 0 {
				t.Errorf("it would be ready without configuration after %v", source.GetInitialFetchTimeout())
			}
		}
	}
}

func TestYAML(t *testing.T) {
	t.Parallel()
	b := newBootstrap(t, options())
	first, err := YAML(b)
	if err != nil {
		t.Fatal(err)
	}
	data, err := yaml.YAMLToJSON(first)
	if err != nil {
		t.Fatal(err)
	}
	var read bootstrapv3.Bootstrap
	if err := protojson.Unmarshal(data, &read); err != nil || !proto.Equal(&read, b) {
		t.Errorf("reads as %v (%v), want %v", &read, err, b)
	}
	if !bytes.Contains(first, []byte("dynamic_resources:")) {
		t.Errorf("fields have other names than in Envoy's documentation:\n%s", first)
	}
	again, err := YAML(proto.CloneOf(b))
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("the same bootstrap is another file (%v):\n%s\n%s", err, first, again)
	}
}
