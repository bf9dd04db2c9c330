package bootstrap

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	// serverCluster is the cluster by which an Envoy reaches its xDS server.
	serverCluster = "xds"
	// httpProtocolOptions is the key of HttpProtocolOptions in Cluster.typed_extension_protocol_options.
	httpProtocolOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
)

// TLS are the files with which an Envoy secures its connection to the xDS server, as the Envoy sees them.
type TLS struct {
	// CA are the certificates, in PEM, by which the server is verified, of whom one name has to be the host of its address.
	CA string
	// Cert and Key are what the Envoy shows of itself, in PEM; both empty if it shows no certificate.
	Cert, Key string
	// SDS is the directory of the files of [SDSFiles], by which the Envoy notices that CA, Cert and Key are others now. If it
	// is empty, these are read once, when the Envoy starts.
	SDS string
	// Token is what the Envoy shows of itself in place of a certificate: a bearer token, which is read for each stream. CA is
	// read when the Envoy starts then, whatever SDS says.
	Token string
}

// newService is how the xDS server is asked, and the static cluster that this takes; nil if it takes none. A token is for
// Google's gRPC client, which reads it for each call: Envoy's own has no call credentials.
func newService(server Address, tls *TLS) (*corev3.GrpcService, *clusterv3.Cluster, error) {
	if tls != nil && tls.Token != "" {
		service, err := tokenService(server, *tls)
		return service, nil, err
	}
	cluster, err := newCluster(server, tls)
	return &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
		EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: serverCluster},
	}}, cluster, err
}

const (
	// pingInterval and pingTimeout are how often a connection is probed, and how long the answer may take: that is how an Envoy
	// notices a server that went away without a word.
	pingInterval = 30 * time.Second
	pingTimeout  = 5 * time.Second
)

// newCluster is the static cluster for the xDS server at an address: HTTP/2, with pings.
func newCluster(server Address, tls *TLS) (*clusterv3.Cluster, error) {
	options, err := packed(&httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
				ConnectionKeepalive: &corev3.KeepaliveSettings{
					Interval: durationpb.New(pingInterval),
					Timeout:  durationpb.New(pingTimeout),
				},
			}},
		}},
	})
	if err != nil {
		return nil, err
	}
	var socket *corev3.TransportSocket
	if tls != nil {
		if socket, err = transportSocket(server.Host, *tls); err != nil {
			return nil, err
		}
	}
	discovery := clusterv3.Cluster_STRICT_DNS
	if isIP(server.Host) {
		discovery = clusterv3.Cluster_STATIC
	}
	return &clusterv3.Cluster{
		Name:                 serverCluster,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: discovery},
		ConnectTimeout:       durationpb.New(5 * time.Second),
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: serverCluster,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
				HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: socketAddress(server)}},
			}}}},
		},
		TypedExtensionProtocolOptions: map[string]*anypb.Any{httpProtocolOptions: options},
		TransportSocket:               socket,
	}, nil
}

// transportSocket verifies that the server is host. Nothing older than TLS 1.3 is spoken: both ends are new.
func transportSocket(host string, tls TLS) (*corev3.TransportSocket, error) {
	name := &tlsv3.SubjectAltNameMatcher{
		SanType: tlsv3.SubjectAltNameMatcher_DNS,
		Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: host}},
	}
	sni := host
	if isIP(host) {
		name.SanType, sni = tlsv3.SubjectAltNameMatcher_IP_ADDRESS, "" // RFC 6066: a server name is no address
	}
	common := &tlsv3.CommonTlsContext{
		TlsParams: &tlsv3.TlsParameters{
			TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
			TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3, // towards servers, Envoy's default is 1.2
		},
		AlpnProtocols: []string{"h2"},
	}
	known := &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{name}}
	if tls.SDS == "" {
		known.TrustedCa = file(tls.CA)
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: known}
		if tls.Cert != "" {
			common.TlsCertificates = []*tlsv3.TlsCertificate{{CertificateChain: file(tls.Cert), PrivateKey: file(tls.Key)}}
		}
	} else {
		common.ValidationContextType = &tlsv3.CommonTlsContext_CombinedValidationContext{
			CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
				DefaultValidationContext:         known,
				ValidationContextSdsSecretConfig: sdsConfig(tls.SDS, authoritySecret),
			},
		}
		if tls.Cert != "" {
			common.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{sdsConfig(tls.SDS, certificateSecret)}
		}
	}
	config, err := packed(&tlsv3.UpstreamTlsContext{Sni: sni, CommonTlsContext: common})
	if err != nil {
		return nil, err
	}
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: config},
	}, nil
}

func file(path string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}}
}
