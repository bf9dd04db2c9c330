package router

import (
	"errors"
	"fmt"
	"strings"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
)

// Retry is a retry policy.
type Retry struct {
	OnConnectFailure bool         // connect-failure
	OnReset          bool         // reset: no response at all, the timeout of a try included
	OnStatus         map[int]bool // retriable_status_codes, if retry_on has retriable-status-codes

	Retries       int           // how often a request is tried again
	PerTryTimeout time.Duration // 0: none

	base, max time.Duration
}

// defaultBackOff: "the default base interval is 25 milliseconds" (RetryPolicy.retry_back_off).
const defaultBackOff = 25 * time.Millisecond

// newRetry compiles the retry policy of an action with a timeout; nil if there is none.
func newRetry(config *routev3.RetryPolicy, timeout time.Duration) (*Retry, error) {
	if config == nil {
		return nil, nil
	}
	r := &Retry{Retries: 1, base: defaultBackOff}
	if config.GetNumRetries() != nil {
		r.Retries = int(config.GetNumRetries().GetValue())
	}
	var err error
	if r.PerTryTimeout, err = milliseconds("retry_policy.per_try_timeout", config.GetPerTryTimeout()); err != nil {
		return nil, err
	}
	if timeout != 0 && r.PerTryTimeout >= timeout {
		r.PerTryTimeout = 0 // Envoy ignores it
	}
	if err := r.setConditions(config); err != nil {
		return nil, err
	}
	return r, r.setBackOff(config.GetRetryBackOff())
}

func (r *Retry) setConditions(config *routev3.RetryPolicy) error {
	for condition := range strings.SplitSeq(config.GetRetryOn(), ",") {
		switch strings.TrimSpace(condition) {
		case "":
		case "connect-failure":
			r.OnConnectFailure = true
		case "reset":
			r.OnReset = true
		case "retriable-status-codes":
			r.OnStatus = map[int]bool{}
			for _, code := range config.GetRetriableStatusCodes() {
				r.OnStatus[int(code)] = true
			}
		default:
			return fmt.Errorf("retry_policy.retry_on: %q isn't executed", condition)
		}
	}
	return nil
}

func (r *Retry) setBackOff(config *routev3.RetryPolicy_RetryBackOff) (err error) {
	if config != nil {
		if r.base, err = milliseconds("retry_policy.retry_back_off.base_interval", config.GetBaseInterval()); err != nil {
			return err
		}
		r.base = max(r.base, time.Millisecond)
	}
	r.max = 10 * r.base
	if config.GetMaxInterval() != nil {
		if r.max, err = milliseconds("retry_policy.retry_back_off.max_interval", config.GetMaxInterval()); err != nil {
			return err
		}
		r.max = max(r.max, time.Millisecond)
		if r.max < r.base {
			return errors.New("retry_policy.retry_back_off.max_interval: must be greater than or equal to the base_interval")
		}
	}
	return nil
}

// BackOff returns below what the random time is that is waited before a retry, the first of which is 1: it doubles with each, up
// to the max_interval.
func (r *Retry) BackOff(retry int) time.Duration {
	interval := r.base
	for range retry - 1 {
		if interval >= r.max/2 {
			return r.max
		}
		interval *= 2
	}
	return interval
}
