package bootstrap

import (
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	healthv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// ReadinessPath is where an Envoy answers 200 if it is ready and 503 if it is draining. Every other path is 404.
const ReadinessPath = "/ready"

// readinessName is the name of the listener, and of its statistics.
const readinessName = "readiness"

// readinessListener answers for the Envoy, in place of the administration interface, which no other host may reach. Envoy
// accepts connections only when it has its first configuration, so that whoever asks before that gets no answer.
func readinessListener(at Address) (*listenerv3.Listener, error) {
	health, err := httpFilter("envoy.filters.http.health_check", &healthv3.HealthCheck{
		PassThroughMode: wrapperspb.Bool(false),
		Headers: []*routev3.HeaderMatcher{{
			Name: ":path",
			HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
				MatchPattern: &matcherv3.StringMatcher_Exact{Exact: ReadinessPath},
			}},
		}},
	})
	if err != nil {
		return nil, err
	}
	router, err := httpFilter("envoy.filters.http.router", &routerv3.Router{})
	if err != nil {
		return nil, err
	}
	manager, err := packed(&hcmv3.HttpConnectionManager{
		StatPrefix:            readinessName,
		CodecType:             hcmv3.HttpConnectionManager_HTTP1,
		RouteSpecifier:        &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{Name: readinessName}},
		HttpFilters:           []*hcmv3.HttpFilter{health, router},
		RequestHeadersTimeout: durationpb.New(5 * time.Second),
	})
	if err != nil {
		return nil, err
	}
	address := socketAddress(at)
	address.GetSocketAddress().Ipv4Compat = at.Host == "::"
	return &listenerv3.Listener{
		Name:                          readinessName,
		Address:                       address,
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(32 << 10),
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: manager},
		}}}},
	}, nil
}

func httpFilter(name string, config proto.Message) (*hcmv3.HttpFilter, error) {
	typed, err := packed(config)
	if err != nil {
		return nil, err
	}
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: typed}}, nil
}
