package graph

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// invalidRetry finds what the schema of v1 refuses, and others let through: codes are "in the 500-599 range" or "in the
// 400-499 range" (HTTPRouteRetryStatusCode).
func invalidRetry(id ruleID, retry *gwv1.HTTPRouteRetry) *Problem {
	if retry == nil {
		return nil
	}
	for i, code := range retry.Codes {
		if code < 400 || code > 599 {
			return unsupportedValue("%d is not a status code of an error", code).in(id.field(fmt.Sprintf("retry.codes[%d]", i)))
		}
	}
	if retry.Attempts != nil && *retry.Attempts < 0 {
		return unsupportedValue("%d is less than 0", *retry.Attempts).in(id.field("retry.attempts"))
	}
	if retry.Backoff != nil {
		if _, err := time.ParseDuration(string(*retry.Backoff)); err != nil {
			return unsupportedValue("%q is not a duration", *retry.Backoff).in(id.field("retry.backoff"))
		}
	}
	return nil
}

// retryWarnings says how Envoy departs from "as long as unsuccessful backend requests are not retried before the
// configured minimum duration" (HTTPRouteRetry.Backoff).
func retryWarnings(id ruleID, retry *gwv1.HTTPRouteRetry) []string {
	if retry == nil || retry.Backoff == nil {
		return nil
	}
	if backoff, err := time.ParseDuration(string(*retry.Backoff)); err != nil || backoff == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s: Envoy draws each wait at random, from 0 up to %s for the first retry and longer for the next ones, "+
		"so that a retry may come sooner", id.field("retry.backoff"), *retry.Backoff)}
}

// meshTimeoutWarnings says what becomes of "the timeout for an individual request from the gateway to a backend"
// (HTTPRouteTimeouts.BackendRequest), of which there are several where calls are retried: gRPC clients know no time limit of a
// try, so that the shorter of both timeouts bounds the call.
func meshTimeoutWarnings(id ruleID, rule *gwv1.HTTPRouteRule) []string {
	if rule.Retry == nil || valueOr(rule.Retry.Attempts, 1) == 0 || rule.Timeouts == nil || rule.Timeouts.BackendRequest == nil {
		return nil
	}
	if limit, err := time.ParseDuration(string(*rule.Timeouts.BackendRequest)); err != nil || limit == 0 {
		return nil
	}
	return []string{id.field("timeouts.backendRequest") +
		": for proxyless gRPC clients, it bounds the whole call with its retries, because they know no time limit of a try"}
}

// meshRetryLimit is how many retries gRPC clients make at most: five attempts (gRFC A6, validation of retryPolicy).
const meshRetryLimit = 4

// meshRetryCodes are those that gRPC clients take for UNAVAILABLE (gRPC's "HTTP to gRPC Status Code Mapping").
var meshRetryCodes = []gwv1.HTTPRouteRetryStatusCode{
	http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// meshRetryWarnings names what of a rule's retries gRPC clients don't do. They know gRPC's status codes only (gRFC A44),
// of which UNAVAILABLE stands for connection errors, and for some status codes of HTTP.
func meshRetryWarnings(id ruleID, retry *gwv1.HTTPRouteRetry) []string {
	if retry == nil {
		return nil
	}
	var warnings []string
	for i, code := range retry.Codes {
		if !slices.Contains(meshRetryCodes, code) {
			warnings = append(warnings, fmt.Sprintf("%s has no effect for proxyless gRPC clients: they retry "+
				"calls that are UNAVAILABLE, which %d is not", id.field(fmt.Sprintf("retry.codes[%d]", i)), code))
		}
	}
	if valueOr(retry.Attempts, 0) > meshRetryLimit {
		warnings = append(warnings, fmt.Sprintf("%s: proxyless gRPC clients retry %d times at most",
			id.field("retry.attempts"), meshRetryLimit))
	}
	return warnings
}
