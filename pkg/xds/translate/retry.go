package translate

import (
	"math"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

const (
	// defaultAttempts is how often a request is retried if attempts isn't set, which v1.6 of the specification leaves to
	// the implementation. It is Envoy's own default, and the specification's since v1.7.
	defaultAttempts = 1

	// "Implementations SHOULD retry on connection errors (disconnect, reset, timeout, TCP failure) if a retry stanza is
	// configured" (HTTPRouteRetry). A reset is all of that to Envoy, the timeout of a try included.
	retryOnConnectionErrors = "connect-failure,reset"
	retryOnStatusCodes      = "retriable-status-codes"

	// meshRetryOn is what connection errors are to gRPC clients, and the status codes that proxies answer with (gRFC A44).
	meshRetryOn = "unavailable"

	// maxRetries is how many retries to a cluster may be in flight, for what has no retry budget. Envoy's default of 3 would
	// keep most requests from being retried when they fail at the same time, which is when it matters. As many as Envoy
	// lets there be requests is no limit of its own.
	maxRetries = 1024
)

// retryPolicy returns how a request is tried, or nil if once and as long as it takes.
func retryPolicy(r *rule) *routev3.RetryPolicy {
	// "A timeout for an individual request from the gateway to a backend" is Envoy's timeout of a try, with retries or
	// without.
	perTry, _ := duration(r.timeouts.BackendRequest)
	if r.retry == nil && perTry <= 0 {
		return nil
	}
	out := &routev3.RetryPolicy{NumRetries: wrapperspb.UInt32(0)}
	if perTry > 0 {
		out.PerTryTimeout = durationpb.New(perTry)
	}
	if r.retry == nil {
		return out
	}
	out.RetryOn = retryOnConnectionErrors
	if len(r.retry.Codes) > 0 {
		out.RetryOn += "," + retryOnStatusCodes
	}
	for _, code := range r.retry.Codes {
		out.RetriableStatusCodes = append(out.RetriableStatusCodes, uint32(code))
	}
	out.NumRetries = wrapperspb.UInt32(attempts(r.retry))
	out.RetryBackOff = retryBackOff(r.retry)
	return out
}

func attempts(retry *gwv1.HTTPRouteRetry) uint32 {
	return uint32(min(deref(retry.Attempts, defaultAttempts), math.MaxInt32))
}

// retryBackOff starts Envoy's exponential back-off at the given minimum. Every wait is drawn between 0 and the interval that
// the back-off has come to, so that it may be shorter: the graph warns of that.
func retryBackOff(retry *gwv1.HTTPRouteRetry) *routev3.RetryPolicy_RetryBackOff {
	backoff, ok := duration(retry.Backoff)
	if !ok {
		return nil
	}
	// Envoy refuses 0, and counts in milliseconds.
	return &routev3.RetryPolicy_RetryBackOff{BaseInterval: durationpb.New(max(backoff, time.Millisecond))}
}

// meshRetryPolicy is retryPolicy for gRPC clients, which know conditions of their own only and refuse 0 retries.
func meshRetryPolicy(r *rule) *routev3.RetryPolicy {
	if r.retry == nil || attempts(r.retry) == 0 {
		return nil
	}
	return &routev3.RetryPolicy{
		RetryOn:      meshRetryOn,
		NumRetries:   wrapperspb.UInt32(attempts(r.retry)),
		RetryBackOff: retryBackOff(r.retry),
	}
}

// circuitBreakers limits the retries towards a Service, by its retry budget if a policy gives it one (GEP-3388).
func circuitBreakers(budget *graph.RetryBudgetFacts) *clusterv3.CircuitBreakers {
	limits := &clusterv3.CircuitBreakers_Thresholds{MaxRetries: wrapperspb.UInt32(maxRetries)}
	if budget != nil {
		limits = &clusterv3.CircuitBreakers_Thresholds{RetryBudget: &clusterv3.CircuitBreakers_Thresholds_RetryBudget{
			BudgetPercent:       &typev3.Percent{Value: float64(budget.Percent)},
			BudgetInterval:      durationpb.New(budget.Interval),
			MinRetryConcurrency: wrapperspb.UInt32(budget.MinConcurrency),
		}}
	}
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{limits}}
}
