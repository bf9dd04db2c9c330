package translate

import (
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// duration reads a duration of GEP-2257, whose syntax is a part of Go's; ok is false if there is none.
func duration(d *gwv1.Duration) (parsed time.Duration, ok bool) {
	if d == nil {
		return 0, false
	}
	parsed, err := time.ParseDuration(string(*d))
	return parsed, err == nil
}

// setTimeouts sets the time limits of an action. Envoy's own limit of 15 s is always overridden: a limit that nobody
// asked for, and that cuts downloads and streams, is a surprise. Zero means none, for Envoy as for the Gateway API.
func setTimeouts(action *routev3.RouteAction, r *rule) {
	request, hasRequest := duration(r.timeouts.Request)
	action.Timeout = durationpb.New(request)

	// "A timeout for an individual request from the gateway to a backend": Envoy's name for that is a try, and its
	// place the retry policy, here one without retries.
	backendRequest, hasBackendRequest := duration(r.timeouts.BackendRequest)
	if backendRequest > 0 {
		action.RetryPolicy = &routev3.RetryPolicy{
			PerTryTimeout: durationpb.New(backendRequest),
			NumRetries:    wrapperspb.UInt32(0),
		}
	}

	// A stream that is silent for long is no sign of trouble where that was asked for, nor with gRPC and WebSockets.
	switch {
	case r.grpc || len(action.UpgradeConfigs) > 0:
		action.IdleTimeout = durationpb.New(0)
	case hasRequest && (request == 0 || request > streamIdleTimeout):
		action.IdleTimeout = durationpb.New(request)
	case !hasRequest && hasBackendRequest && (backendRequest == 0 || backendRequest > streamIdleTimeout):
		action.IdleTimeout = durationpb.New(backendRequest)
	}
}
