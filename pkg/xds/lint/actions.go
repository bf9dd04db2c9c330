package lint

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

func (w *walk) rewrites(path string, a *routev3.RouteAction) {
	n := 0
	for _, set := range []bool{a.GetPrefixRewrite() != "", a.GetRegexRewrite() != nil, a.GetPathRewritePolicy() != nil} {
		if set {
			n++
		}
	}
	if n > 1 {
		w.add(TwoRewrites, path, "of prefix_rewrite, regex_rewrite and path_rewrite_policy only one can be set")
	}
}

// substitution: "\0" is all of the match, "\1" to "\9" are its groups, and "\\" is a backslash. With anything else behind a
// backslash, RE2 replaces nothing.
func (w *walk) substitution(path string, m *matcherv3.RegexMatchAndSubstitute) {
	pattern, err := regexp.Compile(m.GetPattern().GetRegex())
	if err != nil {
		return // BadRegex says so
	}
	known := `\0123456789`[:min(2+pattern.NumSubexp(), 11)]
	for rest := m.GetSubstitution(); ; rest = rest[1:] {
		found := false
		if _, rest, found = strings.Cut(rest, `\`); !found {
			return
		}
		if rest == "" || !strings.Contains(known, rest[:1]) {
			w.add(Ignored, path+".substitution", `a \ must be followed by \ or the number of a group of the pattern`)
			return
		}
	}
}

// weights: "The sum of weights of all weighted clusters ... exceeds", "must be greater than 0".
func (w *walk) weights(path string, m *routev3.WeightedCluster) {
	var sum uint64
	for i, c := range m.GetClusters() {
		at := fmt.Sprintf("%s.clusters[%d]", path, i)
		if (c.GetName() == "") == (c.GetClusterHeader() == "") {
			w.add(Invalid, at, "one of name and cluster_header must be set, and not both")
		}
		if c.GetWeight() == nil {
			w.add(Invalid, at, "it has no weight")
		}
		sum += uint64(c.GetWeight().GetValue())
	}
	if sum == 0 || sum > math.MaxUint32 {
		w.add(Invalid, path, "the sum of the weights is %d; it must be in 1..%d", sum, uint32(math.MaxUint32))
	}
}

// retryConditions are those of retry_on, x-envoy-retry-on and x-envoy-retry-grpc-on.
var retryConditions = []string{
	"5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited", "retriable-4xx",
	"refused-stream", "retriable-status-codes", "retriable-headers", "http3-post-connect-failure",
	"cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
}

func (w *walk) retries(path string, p *routev3.RetryPolicy) {
	byStatus := false
	for condition := range strings.SplitSeq(p.GetRetryOn(), ",") {
		condition = strings.TrimSpace(condition)
		byStatus = byStatus || condition == "retriable-status-codes"
		if condition != "" && !slices.Contains(retryConditions, condition) {
			w.add(Ignored, path+".retry_on", "there is no condition %q", condition)
		}
	}
	if len(p.GetRetriableStatusCodes()) > 0 && !byStatus {
		w.add(Ignored, path+".retriable_status_codes", "retry_on doesn't have retriable-status-codes")
	}
	if b := p.GetRetryBackOff(); b.GetMaxInterval() != nil && b.GetMaxInterval().AsDuration() < b.GetBaseInterval().AsDuration() {
		w.add(Invalid, path+".retry_back_off.max_interval", "it is less than the base_interval")
	}
}

// command is a percent sign or a command operator in a format string.
var command = regexp.MustCompile(`%%|%[A-Z0-9_]+(\(.*?\))?(:[0-9]+)?%`)

func (w *walk) header(path string, h *corev3.HeaderValueOption) {
	if isFixed(h.GetHeader().GetKey()) {
		w.add(Invalid, path+".header.key", ":-prefixed or host headers may not be modified")
	}
	if strings.Contains(command.ReplaceAllString(h.GetHeader().GetValue(), ""), "%") {
		w.add(Invalid, path+".header.value", "a %% must be part of a command operator, or be followed by another one")
	}
}

// isFixed says whether a header is one that Envoy lets nobody add or remove.
func isFixed(name string) bool {
	return strings.HasPrefix(name, ":") || strings.EqualFold(name, "host")
}
