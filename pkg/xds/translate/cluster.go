package translate

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	upstreamhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// The standard application protocols (KEP-3726) of a Service port that change what routes generate. A port with another
// appProtocol, or none, is spoken to in HTTP/1.1, unless it is one of HTTP/2 (graph.BackendFacts.HTTP2). Whether TLS is used is
// for a BackendTLSPolicy to say: a backend with kubernetes.io/wss and none is invalid (GEP-1911).
const (
	appProtocolWebSocket       = "kubernetes.io/ws"
	appProtocolSecureWebSocket = "kubernetes.io/wss"
)

const webSocket = "websocket"

// Cluster returns the cluster of a port of a Service or an XBackend. The endpoints of a Service come from ClusterLoadAssignment;
// those of an XBackend from DNS.
func Cluster(key ClusterKey, port *graph.BackendPortFacts) *clusterv3.Cluster {
	out := &clusterv3.Cluster{
		Name:           key.String(),
		Metadata:       originOf(key.Key).metadata(),
		ConnectTimeout: durationpb.New(5 * time.Second),
		// What every client accepts: the C++ gRPC client of 2022 refuses LEAST_REQUEST.
		LbPolicy:                      clusterv3.Cluster_ROUND_ROBIN,
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(bufferLimit),
	}
	if port.Hostname != "" {
		resolveExternal(out, port)
	} else {
		out.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
		out.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{EdsConfig: adsSource(), ServiceName: key.BackendKey.String()}
	}
	if key.Stream || key.UDP {
		out.CircuitBreakers = streamLimits()
		if port.TLS != nil && !key.Passthrough {
			out.TransportSocket = upstreamTLS(port.TLS, clientCertificate(key, port), streamProtocols(port)...)
			say(out.Metadata, originTLSPolicy, port.TLS.Policy.Name)
		}
		return out
	}
	out.CircuitBreakers = circuitBreakers(port.RetryBudget)
	if port.RetryBudget != nil {
		say(out.Metadata, originTrafficPolicy, port.RetryBudget.Policy.Name)
	}
	http2 := key.HTTP2 || port.HTTP2
	if port.TLS != nil {
		out.TransportSocket = upstreamTLS(port.TLS, clientCertificate(key, port), httpProtocol(http2))
		say(out.Metadata, originTLSPolicy, port.TLS.Policy.Name)
	}
	if http2 {
		out.TypedExtensionProtocolOptions = map[string]*anypb.Any{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": packed(&upstreamhttpv3.HttpProtocolOptions{
				UpstreamProtocolOptions: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_{
					ExplicitHttpConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig{
						ProtocolConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
							Http2ProtocolOptions: http2Windows(),
						},
					},
				},
			}),
		}
	}
	return out
}

// httpProtocol names a version of HTTP in ALPN.
func httpProtocol(http2 bool) string {
	if http2 {
		return "h2"
	}
	return "http/1.1"
}

// maxStreams is how many streams an Envoy carries to the endpoints of a cluster. By default it is 1024, which a few clients of
// UDP use up: each port that they send from counts for a minute.
const maxStreams = 1 << 16

func streamLimits() *clusterv3.CircuitBreakers {
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{MaxConnections: wrapperspb.UInt32(maxStreams)}}}
}
