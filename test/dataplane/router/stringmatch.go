package router

import (
	"errors"
	"fmt"
	"strings"

	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

type stringMatch func(value string) bool

func newStringMatch(config *matcherv3.StringMatcher) (stringMatch, error) {
	fold := func(s string) string { return s }
	if config.GetIgnoreCase() {
		fold = asciiLower
	}
	switch pattern := config.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		return exactly(pattern.Exact, fold), nil
	case *matcherv3.StringMatcher_Prefix:
		return startsWith(pattern.Prefix, fold), nil
	case *matcherv3.StringMatcher_Suffix:
		want := fold(pattern.Suffix)
		return func(value string) bool { return strings.HasSuffix(fold(value), want) }, nil
	case *matcherv3.StringMatcher_Contains:
		want := fold(pattern.Contains)
		return func(value string) bool { return strings.Contains(fold(value), want) }, nil
	case *matcherv3.StringMatcher_SafeRegex:
		if config.GetIgnoreCase() {
			return nil, errors.New("ignore_case: has no effect for safe_regex")
		}
		return regexMatch(pattern.SafeRegex)
	default:
		return nil, errors.New("match_pattern: required")
	}
}

func exactly(want string, fold func(string) string) stringMatch {
	want = fold(want)
	return func(value string) bool { return fold(value) == want }
}

func startsWith(prefix string, fold func(string) string) stringMatch {
	prefix = fold(prefix)
	return func(value string) bool { return strings.HasPrefix(fold(value), prefix) }
}

func regexMatch(config *matcherv3.RegexMatcher) (stringMatch, error) {
	re, err := fullMatch(config.GetRegex())
	if err != nil {
		return nil, fmt.Errorf("safe_regex: %w", err)
	}
	return func(value string) bool { return matchesAll(re, value) }, nil
}

// asciiLower lowers the letters that have a case in host names and paths. Unlike strings.ToLower, it keeps the length.
func asciiLower(s string) string {
	out := []byte(s)
	for i, c := range out {
		if 'A' <= c && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return string(out)
}
