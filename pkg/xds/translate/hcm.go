package translate

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// streamIdleTimeout ends a stream on which nothing moves in either direction. It is also what stops a client that sends
// its request's body byte by byte. Routes with an agreement of their own override it; see timeout.go.
const streamIdleTimeout = 5 * time.Minute

// connectionManager returns the HTTP connection manager that serves a table. Its settings are those of "Configuring
// Envoy as an edge proxy" in Envoy's documentation, but for request_timeout: it can't be overridden by route, and would
// end every upload and gRPC stream after it.
//
// fleet, which may be nil, says what is logged and traced; the cluster of the collector of traces is added to clusters.
func connectionManager(table graph.TableKey, fleet *graph.EnvoyFleetFacts, clusters clusterSet) *listenerv3.Filter {
	name := RouteConfigurationName(table)
	http2 := http2Windows()
	http2.MaxConcurrentStreams = wrapperspb.UInt32(100)
	return &listenerv3.Filter{
		Name: "envoy.filters.network.http_connection_manager",
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed(&hcmv3.HttpConnectionManager{
			StatPrefix: name,
			CodecType:  hcmv3.HttpConnectionManager_AUTO, // HTTP/1.1, or HTTP/2 by ALPN or prior knowledge
			RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
				ConfigSource:    adsSource(),
				RouteConfigName: name,
			}},
			// A client's x-envoy-* headers must not set timeouts or retries, whatever network it comes from.
			HttpFilters:           append(routeFilters(), routerFilter(&routerv3.Router{SuppressEnvoyHeaders: true})),
			UseRemoteAddress:      wrapperspb.Bool(true),
			InternalAddressConfig: &hcmv3.HttpConnectionManager_InternalAddressConfig{},
			// Routing decides by path, so a path must have one spelling.
			NormalizePath:                wrapperspb.Bool(true),
			MergeSlashes:                 true,
			PathWithEscapedSlashesAction: hcmv3.HttpConnectionManager_UNESCAPE_AND_REDIRECT,
			CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
				IdleTimeout: durationpb.New(time.Hour),
				// Many servers read "a_b" as "a-b", which would let a client smuggle a header past a route's matches.
				HeadersWithUnderscoresAction: corev3.HttpProtocolOptions_REJECT_REQUEST,
			},
			Http2ProtocolOptions:  http2,
			StreamIdleTimeout:     durationpb.New(streamIdleTimeout),
			RequestHeadersTimeout: durationpb.New(10 * time.Second),
			AccessLog:             accessLogs(fleet),
			Tracing:               tracing(fleet, table.Scope, clusters),
			// The Server header is the backend's business.
			ServerHeaderTransformation: hcmv3.HttpConnectionManager_PASS_THROUGH,
			// Known, but off: routes to WebSocket backends switch it on.
			UpgradeConfigs: []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: webSocket, Enabled: wrapperspb.Bool(false)}},
		})},
	}
}

// routeFilters are the HTTP filters that routes switch on, in the order in which they run: a browser's preflight request, which
// has no credentials, is answered before anybody is asked to authorize it.
func routeFilters() []*hcmv3.HttpFilter {
	return []*hcmv3.HttpFilter{corsFilter(), authFilter(), sessionFilter()}
}

// http2Windows bounds what an HTTP/2 peer may have in flight, as Envoy recommends for edge proxies.
func http2Windows() *corev3.Http2ProtocolOptions {
	return &corev3.Http2ProtocolOptions{
		InitialStreamWindowSize:     wrapperspb.UInt32(64 << 10),
		InitialConnectionWindowSize: wrapperspb.UInt32(1 << 20),
	}
}

// routerFilter is the HTTP filter that ends every chain.
func routerFilter(config *routerv3.Router) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{
		Name:       "envoy.filters.http.router",
		ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: packed(config)},
	}
}
