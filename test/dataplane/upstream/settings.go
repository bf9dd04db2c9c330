package upstream

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	dnscommonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/common/dns/v3"
	dnsclusterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	upstreamhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/secret"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/strict"
)

// executed are the fields that are read. What is in per_connection_buffer_limit_bytes is for Go's HTTP and the copying of streams
// to keep, which buffer no more than they have to.
var executed = strict.Fields{
	"envoy.config.cluster.v3.Cluster": "name metadata type cluster_type eds_cluster_config connect_timeout lb_policy load_assignment " +
		"per_connection_buffer_limit_bytes circuit_breakers transport_socket typed_extension_protocol_options",
	"envoy.config.cluster.v3.Cluster.EdsClusterConfig":               "eds_config service_name",
	"envoy.config.cluster.v3.Cluster.CustomClusterType":              "name typed_config",
	"envoy.extensions.clusters.dns.v3.DnsCluster":                    "respect_dns_ttl dns_lookup_family",
	"envoy.config.core.v3.ConfigSource":                              "ads resource_api_version",
	"envoy.config.core.v3.AggregatedConfigSource":                    "",
	"envoy.config.cluster.v3.CircuitBreakers":                        "thresholds",
	"envoy.config.cluster.v3.CircuitBreakers.Thresholds":             "max_connections max_retries retry_budget",
	"envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget": "budget_percent budget_interval min_retry_concurrency",
	"envoy.type.v3.Percent":                                          "value",
	"envoy.config.core.v3.TransportSocket":                           "name typed_config",

	"envoy.extensions.upstreams.http.v3.HttpProtocolOptions":                    "explicit_http_config",
	"envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig": "http_protocol_options http2_protocol_options",
	"envoy.config.core.v3.Http1ProtocolOptions":                                 "",
	"envoy.config.core.v3.Http2ProtocolOptions":                                 "initial_stream_window_size initial_connection_window_size connection_keepalive",
	"envoy.config.core.v3.KeepaliveSettings":                                    "interval timeout",

	"envoy.config.endpoint.v3.ClusterLoadAssignment": "cluster_name endpoints",
	// Localities and their weights mean nothing to ROUND_ROBIN without a locality_weighted_lb_config.
	"envoy.config.endpoint.v3.LocalityLbEndpoints": "locality load_balancing_weight lb_endpoints",
	"envoy.config.core.v3.Locality":                "region zone sub_zone",
	"envoy.config.endpoint.v3.LbEndpoint":          "endpoint load_balancing_weight",
	"envoy.config.endpoint.v3.Endpoint":            "address hostname", // the latter for auto_host_rewrite, which routes would ask for
	"envoy.config.core.v3.Address":                 "socket_address",
	"envoy.config.core.v3.SocketAddress":           "address port_value",
}

// settings are what a configuration says.
type settings struct {
	name           string
	connectTimeout time.Duration
	edsName        string
	endpoints      []endpoint   // of a STATIC cluster
	dns            *dnsSettings // of one whose hosts are in DNS
	originalDst    bool
	thresholds     *clusterv3.CircuitBreakers_Thresholds
	tls            *tls.Config // nil for plaintext
	secretNames    []string
	http2          *http.HTTP2Config // nil for HTTP/1.1
}

func newSettings(config *clusterv3.Cluster, secrets *secret.Store) (settings, error) {
	if err := errors.Join(config.ValidateAll(), executed.Check(config)); err != nil {
		return settings{}, err
	}
	s := settings{name: config.GetName(), connectTimeout: 5 * time.Second}
	if t := config.GetConnectTimeout(); t != nil {
		s.connectTimeout = t.AsDuration()
	}
	if t := config.GetCircuitBreakers().GetThresholds(); len(t) > 1 {
		return settings{}, errors.New("circuit_breakers.thresholds: one, of the default priority, is executed")
	} else if len(t) == 1 {
		s.thresholds = t[0]
	}
	if err := s.readDiscovery(config); err != nil {
		return settings{}, err
	}
	if want := s.policy(); config.GetLbPolicy() != want {
		return settings{}, fmt.Errorf("lb_policy: %s is executed for this type of cluster, not %s", want, config.GetLbPolicy())
	}
	if err := s.readSocket(config.GetTransportSocket(), secrets); err != nil {
		return settings{}, fmt.Errorf("transport_socket: %w", err)
	}
	return s, s.readProtocol(config.GetTypedExtensionProtocolOptions())
}

// policy is how a host is picked.
func (s *settings) policy() clusterv3.Cluster_LbPolicy {
	if s.originalDst {
		return clusterv3.Cluster_CLUSTER_PROVIDED
	}
	return clusterv3.Cluster_ROUND_ROBIN
}

// readDiscovery reads where the hosts come from.
func (s *settings) readDiscovery(config *clusterv3.Cluster) (err error) {
	if custom := config.GetClusterType(); custom != nil {
		s.dns, err = readCustomType(custom, config)
		return err
	}
	kind := config.GetType()
	if kind != clusterv3.Cluster_EDS && config.GetEdsClusterConfig() != nil {
		return fmt.Errorf("eds_cluster_config: the type is %s", kind)
	}
	switch kind {
	case clusterv3.Cluster_EDS:
		source := config.GetEdsClusterConfig().GetEdsConfig()
		if source.GetAds() == nil || source.GetResourceApiVersion() != corev3.ApiVersion_V3 {
			return errors.New("eds_cluster_config.eds_config: only ads with resource_api_version V3 is executed")
		}
		if s.edsName = config.GetEdsClusterConfig().GetServiceName(); s.edsName == "" {
			s.edsName = s.name
		}
	case clusterv3.Cluster_STATIC:
		s.endpoints, err = readAssignment(config.GetLoadAssignment(), s.name)
		return err
	case clusterv3.Cluster_STRICT_DNS:
		s.dns, err = readDNS(config.GetLoadAssignment(), []string{"ip6", "ip4"}, false) // AUTO
		return err
	case clusterv3.Cluster_ORIGINAL_DST:
		s.originalDst = true
	default:
		return fmt.Errorf("type: %s isn't executed", kind)
	}
	if config.GetLoadAssignment() != nil {
		return fmt.Errorf("load_assignment: the type is %s", kind)
	}
	return nil
}

// readCustomType reads the one custom type that is executed.
func readCustomType(custom *clusterv3.Cluster_CustomClusterType, config *clusterv3.Cluster) (*dnsSettings, error) {
	d := &dnsclusterv3.DnsCluster{}
	if custom.GetName() != "envoy.cluster.dns" || config.GetEdsClusterConfig() != nil {
		return nil, fmt.Errorf("cluster_type: %s isn't executed, only envoy.cluster.dns", custom.GetName())
	}
	if err := unpack(custom.GetTypedConfig(), d); err != nil {
		return nil, fmt.Errorf("cluster_type.typed_config: %w", err)
	}
	if family := d.GetDnsLookupFamily(); family != dnscommonv3.DnsLookupFamily_V4_PREFERRED {
		return nil, fmt.Errorf("cluster_type.typed_config.dns_lookup_family: V4_PREFERRED is executed, not %s", family)
	}
	return readDNS(config.GetLoadAssignment(), []string{"ip4", "ip6"}, d.GetRespectDnsTtl())
}

// readSocket reads how connections are secured.
func (s *settings) readSocket(socket *corev3.TransportSocket, secrets *secret.Store) error {
	if socket == nil {
		return nil
	}
	if socket.GetName() != "envoy.transport_sockets.tls" {
		return fmt.Errorf("%s isn't executed, only envoy.transport_sockets.tls", socket.GetName())
	}
	context := &tlsv3.UpstreamTlsContext{}
	if err := socket.GetTypedConfig().UnmarshalTo(context); err != nil {
		return fmt.Errorf("typed_config: %w", err)
	}
	var err error
	if s.tls, s.secretNames, err = secret.UpstreamConfig(context, secrets); err != nil {
		return fmt.Errorf("typed_config.%w", err)
	}
	return nil
}

const httpProtocolOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// readProtocol reads which version of HTTP is spoken: HTTP/1.1 if nothing is said.
func (s *settings) readProtocol(options map[string]*anypb.Any) error {
	for name, packed := range options {
		if name != httpProtocolOptions {
			return fmt.Errorf("typed_extension_protocol_options: %s isn't executed, only %s", name, httpProtocolOptions)
		}
		o := &upstreamhttpv3.HttpProtocolOptions{}
		if err := unpack(packed, o); err != nil {
			return fmt.Errorf("typed_extension_protocol_options[%q]: %w", name, err)
		}
		if h := o.GetExplicitHttpConfig().GetHttp2ProtocolOptions(); h != nil {
			s.http2 = &http.HTTP2Config{
				MaxReceiveBufferPerStream:     16 << 20, // Envoy's defaults
				MaxReceiveBufferPerConnection: 24 << 20,
				SendPingTimeout:               h.GetConnectionKeepalive().GetInterval().AsDuration(),
				PingTimeout:                   h.GetConnectionKeepalive().GetTimeout().AsDuration(),
			}
			if w := h.GetInitialStreamWindowSize(); w != nil {
				s.http2.MaxReceiveBufferPerStream = int(w.GetValue())
			}
			if w := h.GetInitialConnectionWindowSize(); w != nil {
				s.http2.MaxReceiveBufferPerConnection = int(w.GetValue())
			}
		}
	}
	return nil
}

// unpack reads what is packed in an Any, of which each field has to be executed.
func unpack(packed *anypb.Any, into interface {
	proto.Message
	ValidateAll() error
}) error {
	if err := packed.UnmarshalTo(into); err != nil {
		return err
	}
	return errors.Join(into.ValidateAll(), executed.Check(into))
}
