package translate

import (
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"
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

	// That of a backend request is in the retry policy.
	backendRequest, hasBackendRequest := duration(r.timeouts.BackendRequest)

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
