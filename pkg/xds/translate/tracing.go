package translate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// tracing returns where the spans of requests are sent, or nil if they are sent nowhere. Random sampling is of the requests
// that come without the context of a trace (traceparent); of others, their client has decided.
func tracing(fleet *graph.EnvoyFleetFacts, scope graph.Key, clusters clusterSet) *hcmv3.HttpConnectionManager_Tracing {
	if fleet == nil || fleet.Collector == nil {
		return nil
	}
	spec := fleet.Object.Spec.Tracing
	return &hcmv3.HttpConnectionManager_Tracing{
		RandomSampling: &typev3.Percent{Value: float64(deref(spec.SamplingPercent, 100))},
		// A span for each try of a request, beside that of the request itself.
		SpawnUpstreamSpan: wrapperspb.Bool(true),
		Provider: &tracev3.Tracing_Http{
			Name: "envoy.tracers.opentelemetry",
			ConfigType: &tracev3.Tracing_Http_TypedConfig{TypedConfig: packed(&tracev3.OpenTelemetryConfig{
				GrpcService: &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{
					ClusterName: clusters.use(connector{grpc: true}.cluster(fleet.Collector)),
				}}},
				ServiceName: deref(spec.OpenTelemetry.ServiceName, scope.NamespacedName().String()),
			})},
		},
	}
}
