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

// The standard application protocols (KEP-3726) of a Service port that change what is generated. A port with another
// appProtocol, or none, is spoken to in HTTP/1.1. Whether TLS is used is for a BackendTLSPolicy to say: a backend with
// kubernetes.io/wss and none is invalid (GEP-1911).
const (
	appProtocolH2C             = "kubernetes.io/h2c"
	appProtocolWebSocket       = "kubernetes.io/ws"
	appProtocolSecureWebSocket = "kubernetes.io/wss"
)

const webSocket = "websocket"

// Cluster returns the cluster of a port of a Service, whose endpoints come from ClusterLoadAssignment.
func Cluster(key ClusterKey, sp *graph.ServicePortFacts) *clusterv3.Cluster {
	out := &clusterv3.Cluster{
		Name:                 key.String(),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{
			EdsConfig:   adsSource(),
			ServiceName: key.BackendKey.String(),
		},
		ConnectTimeout: durationpb.New(5 * time.Second),
		// What every client accepts: the C++ gRPC client of 2022 refuses LEAST_REQUEST.
		LbPolicy:                      clusterv3.Cluster_ROUND_ROBIN,
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(bufferLimit),
		CircuitBreakers:               circuitBreakers(sp.RetryBudget),
	}
	http2 := key.HTTP2 || deref(sp.Port.AppProtocol, "") == appProtocolH2C
	if sp.TLS != nil {
		out.TransportSocket = upstreamTLS(sp.TLS, key.ClientCertificate, http2)
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
